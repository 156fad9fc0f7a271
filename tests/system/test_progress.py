"""What somebody sees who waits for bytes to be moved."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
import sys
import threading

import pytest

from autodist_saved.system import progress as progress_module
from autodist_saved.system.progress import Progress


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, progress_module.log.name)
    return caplog


def test_the_log_is_told_how_far_it_is(lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "EVERY_SECS", 0)
    with Progress("streaming", 8_000_000) as progress:
        for nbytes in (1000, 1_999_000, 6_000_000):
            progress.advance(nbytes)
    assert lines.messages == [
        "streaming: 1.0 kB of 8.0 MB, 0 %",
        "streaming: 2.0 MB of 8.0 MB, 25 %",
        "streaming: 8.0 MB of 8.0 MB, 100 %",
    ]
    assert {record.levelname for record in lines.records} == {"INFO"}


def test_the_log_is_told_nothing_of_what_is_over_soon(lines: pytest.LogCaptureFixture) -> None:
    with Progress("streaming", 1000) as progress:
        for _ in range(1000):
            progress.advance(1)
    assert not lines.records


def test_the_log_is_told_no_oftener_than_every_so_many_seconds(
    lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    with Progress("restoring", 100) as progress:
        for _ in range(100):
            now += 0.5
            progress.advance(1)
    assert [re.search(r"\d+ %", line)[0] for line in lines.messages] == [f"{done} %" for done in range(4, 101, 4)]


def test_nothing_to_move_is_no_mistake(lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "EVERY_SECS", 0)
    with Progress("streaming", 0) as progress:
        progress.advance(0)
    assert lines.messages == ["streaming: 0 bytes of 0 bytes, 0 %"]


def test_all_threads_advance_the_same(lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "EVERY_SECS", 0)
    together = threading.Barrier(4)
    switch_secs = sys.getswitchinterval()

    def advance() -> None:
        together.wait()
        for _ in range(250):
            progress.advance(1)

    sys.setswitchinterval(1e-6)
    try:
        with Progress("streaming", 1000) as progress:
            threads = [threading.Thread(target=advance) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(switch_secs)
    told = [int(re.search(r"(\d+) %", line)[1]) for line in lines.messages]
    assert told == [done // 10 for done in range(1, 1001)]


def _on_a_terminal(program: str) -> str:
    """What a program draws on a terminal of 100 columns; its output goes elsewhere."""
    head = "import logging; from autodist_saved.system import progress; logging.basicConfig(level='INFO'); "
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", f"{head}\n{program}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        os.close(theirs)
        drawn = b""
        try:
            while some := os.read(ours, 2**16):
                drawn += some
        except OSError:  # its last end was closed
            pass
        os.close(ours)
    assert process.returncode == 0, drawn.decode()
    return drawn.decode()


def test_a_terminal_shows_a_bar_and_takes_it_away() -> None:
    drawn = _on_a_terminal(
        """
progress.EVERY_SECS = 0
with progress.Progress("streaming", 8_000_000) as bar:
    bar.advance(2_000_000)
    bar.advance(6_000_000)
"""
    )
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn)
    assert re.search(r"streaming .*━.*2\.0/8\.0 MB", plain)
    assert "8.0/8.0 MB" in plain
    assert "INFO" not in plain
    assert drawn.index("\x1b[?25l") < drawn.index("\x1b[?25h")  # the cursor is hidden, and comes back
    assert drawn.rstrip().endswith("\x1b[2K")  # the line is erased


def test_a_terminal_shows_nothing_of_what_is_over_soon() -> None:
    assert not _on_a_terminal("with progress.Progress('streaming', 10) as bar: bar.advance(10)")


def test_the_bar_is_taken_away_after_an_error() -> None:
    drawn = _on_a_terminal(
        """
progress.EVERY_SECS = 0
try:
    with progress.Progress("streaming", 10) as bar:
        bar.advance(1)
        raise KeyError
except KeyError:
    pass
"""
    )
    assert "streaming" in drawn
    assert drawn.index("\x1b[?25l") < drawn.index("\x1b[?25h")
