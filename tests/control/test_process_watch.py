"""Ends of processes as the kernel tells them: of those that were seen alive, and of nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autodist_saved.control.process_identity import ProcessIdentity, start_time
from autodist_saved.control.process_watch import ProcessWatch

LONG = 60.0


@pytest.fixture
def watch() -> ProcessWatch:
    return ProcessWatch()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Its parent asks for its status at the end of the test only: until then it is a zombie."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def identity_of(process: subprocess.Popen[bytes]) -> ProcessIdentity:
    started = start_time(process.pid)
    assert started is not None
    return replace(ProcessIdentity.of_this_process(), pid=process.pid, started=started)


def test_a_process_says_where_the_kernel_knows_it() -> None:
    here = ProcessIdentity.of_this_process()
    code = (
        "from autodist_saved.control.process_identity import ProcessIdentity as I; "
        "here = I.of_this_process(); print(here.pid, here.started, here.machine, sep='|')"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    pid, started, machine = other.strip().split("|")
    assert int(pid) != here.pid == os.getpid()
    assert int(started) >= here.started > 0
    assert machine == here.machine != ""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_end_is_told_once_though_nobody_has_asked_for_the_status(
    watch: ProcessWatch, sleeper: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    ended, told = threading.Event(), []
    assert watch.add(identity_of(sleeper), lambda: told.append(sleeper.pid) or ended.set())
    assert not ended.wait(0.1)
    sleeper.send_signal(number)
    assert ended.wait(LONG)
    assert Path(f"/proc/{sleeper.pid}").exists(), "it is a zombie"
    assert told == [sleeper.pid]


def test_a_process_that_is_stopped_has_not_ended(watch: ProcessWatch, sleeper: subprocess.Popen[bytes]) -> None:
    ended = threading.Event()
    assert watch.add(identity_of(sleeper), ended.set)
    sleeper.send_signal(signal.SIGSTOP)
    assert not ended.wait(0.3)


def test_each_of_many_is_told_by_itself(watch: ProcessWatch) -> None:
    processes = [subprocess.Popen(["sleep", "600"]) for _ in range(3)]
    ends = [threading.Event() for _ in processes]
    for process, end in zip(processes, ends, strict=True):
        assert watch.add(identity_of(process), end.set)
    for process, end in zip(processes, ends, strict=True):
        assert not end.is_set()
        process.kill()
        assert end.wait(LONG)
        process.wait()


@pytest.mark.parametrize("what", ["another machine", "no machine", "another start", "no such pid", "ended already"])
def test_who_was_not_seen_alive_is_not_watched(
    watch: ProcessWatch, sleeper: subprocess.Popen[bytes], what: str
) -> None:
    identity = identity_of(sleeper)
    match what:
        case "another machine":
            identity = replace(identity, machine=identity.machine + "x")
        case "no machine":
            identity = replace(identity, machine="")
        case "another start":
            identity = replace(identity, started=identity.started + 1)
        case "no such pid":
            identity = replace(identity, pid=2**22 + 1)
        case "ended already":
            sleeper.kill()
            os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not watch.add(identity, lambda: pytest.fail("it was not watched"))


@pytest.mark.parametrize("change", [{"machine": ""}], ids=["no_proc"])
def test_a_process_that_cannot_ask_the_kernel_watches_nobody(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, change: dict[str, str]
) -> None:
    identity = identity_of(sleeper)
    here = replace(ProcessIdentity.of_this_process(), **change)
    monkeypatch.setattr(ProcessIdentity, "of_this_process", classmethod(lambda cls: here))
    assert not ProcessWatch().add(identity, lambda: None)
