"""``autodist-saved launch`` with consoles that are full, slow, closed or not blocking."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from autodist_saved.launch import printer as printer_module
from autodist_saved.launch.printer import Printer
from autodist_saved.launch.task_output import TaskOutput
from tests.support.patience import PATIENCE_SECS
from tests.support.places import PROGRAM

LINE = "x" * 99
# Each task prints without end. The chief has a last export to make, and prints while it makes it.
PRINTS_ON = f"""
import os, signal, sys
folder = {{folder!r}}
def stop(*_):
    [print({LINE!r}) for _ in range(3000)]
    open(os.path.join(folder, 'last export'), 'w').close()
    sys.exit()
signal.signal(signal.SIGTERM, stop)
for number in range(10**9):
    print({LINE!r})
    if number == 40000:  # more than fits into all pipes and what the launcher keeps
        open(os.path.join(folder, 'trains on ' + str(os.getpid())), 'w').close()
"""


@contextmanager
def launched(
    folder: Path, code: str, *, console: int = subprocess.PIPE, jobs: tuple[str, ...] = ("chief", "ps")
) -> Iterator[subprocess.Popen[bytes]]:
    config = folder / "cluster.yaml"
    config.write_text(json.dumps({"cluster": {job: ["localhost:0"] for job in jobs}}))
    command = [PROGRAM, "launch", config, "--", sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(folder: Path, pattern: str, times: int = 1) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    while len(list(folder.glob(pattern))) < times:
        assert time.monotonic() < deadline, f"no {pattern!r}"
        time.sleep(0.02)  # files have no event to wait for that works everywhere


def test_a_job_whose_console_nobody_reads_trains_on_and_heeds_signals(tmp_path: Path) -> None:
    with launched(tmp_path, PRINTS_ON.format(folder=str(tmp_path))) as job:
        wait_for(tmp_path, "trains on *", times=2)
        job.terminate()
        wait_for(tmp_path, "last export")
        assert job.wait(PATIENCE_SECS) == 128 + signal.SIGTERM
        assert job.stderr is not None
        assert job.stderr.read() == b"", "no traceback, and no abort at the end of the interpreter"


def test_a_signal_is_passed_on_while_the_console_is_full(tmp_path: Path) -> None:
    """At once: the console does not count as stuck yet, and the tasks wait for it."""
    code = PRINTS_ON.replace("number == 40000", "number == 3000")
    with launched(tmp_path, code.format(folder=str(tmp_path))) as job:
        wait_for(tmp_path, "trains on *", times=2)
        job.terminate()
        wait_for(tmp_path, "last export")
        assert job.wait(PATIENCE_SECS) == 128 + signal.SIGTERM


def test_a_job_ends_in_order_when_its_console_is_closed(tmp_path: Path) -> None:
    """As in ``autodist-saved launch ... | head``."""
    code = PRINTS_ON.replace("number == 40000", "number == 10")
    with launched(tmp_path, code.format(folder=str(tmp_path))) as job:
        wait_for(tmp_path, "trains on *", times=2)
        assert job.stdout is not None
        job.stdout.close()
        wait_for(tmp_path, "last export")
        assert job.wait(PATIENCE_SECS) == 128 + signal.SIGPIPE


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "not blocking"])
def test_a_slow_console_loses_nothing(tmp_path: Path, blocking: bool) -> None:
    count = 30_000
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    with launched(tmp_path, f"[print({LINE!r}) for _ in range({count})]", console=writer, jobs=("chief",)) as job:
        os.close(writer)
        with os.fdopen(reader, "rb", buffering=0) as console:
            time.sleep(0.5)  # what it is slow with: until all pipes are full
            written = b"".join(iter(lambda: console.read(4096), b""))
        assert job.wait(PATIENCE_SECS) == 0
    assert written.count(LINE.encode()) == count


class Unread(io.StringIO):
    """A console that takes something while it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = threading.Event()

    def write(self, text: str) -> int:
        assert self.is_read.wait(PATIENCE_SECS)
        return super().write(text)


def test_what_does_not_fit_is_left_out_once_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printer_module, "STUCK_SECS", 0.5)
    monkeypatch.setattr(printer_module, "_CHARACTERS_MAX", 1000)
    file = Unread()
    with Printer(TaskOutput(Console(file=file, width=200), ["ps:0"])) as printer:
        for number in range(100):
            printer.lines("ps:0", [f"{number:099}"])
        assert printer.is_full
        deadline = time.monotonic() + PATIENCE_SECS
        while printer.is_full:
            assert time.monotonic() < deadline
            time.sleep(printer.stuck_in_secs)
        printer.lines("ps:0", ["lost"] * 7)
        assert not printer.is_full, "no task waits for it"
        file.is_read.set()
    shown = [line.partition(" | ")[2] for line in file.getvalue().splitlines()]
    assert shown[:100] == [f"{number:099}" for number in range(100)]
    assert shown[100:] == ["7 lines left out here: nobody read this console for 0.5 s"]


def test_leaving_waits_for_a_console_as_long_as_it_takes_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printer_module, "STUCK_SECS", 0.2)
    file = Unread()
    with Printer(TaskOutput(Console(file=file), ["ps:0"])) as printer:
        printer.lines("ps:0", ["printed"])
    assert file.getvalue() == ""
    file.is_read.set()
    printer._thread.join(PATIENCE_SECS)
    assert file.getvalue() == "ps:0   | printed\n"
