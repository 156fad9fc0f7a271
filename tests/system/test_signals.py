"""Signals to a process that trains: a real one, for handlers belong to a process."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from autodist_saved.system.signals import ExportSignals, SignalListener, _Stopping

Process = subprocess.Popen[str]
TRAINING = """
import ctypes, os, signal, sys, time
from autodist_saved.system import signals as limits
from autodist_saved.system.signals import EXPORT_SIGNALS as signals, SignalListener

def say(*words):
    print(*words, flush=True)

def listener(name="", is_done=lambda: True, is_over=lambda: False):
    asked = lambda signal: say(f"{{name}}asked", signal)
    return SignalListener(asked, is_done, lambda: say("told"), {limit}, is_over)

one = listener()
{before}
signals.add(one)
{then}
say("ready")
while True:
    {between}
    if {steps} and signals.is_done():
        signals.stop()
"""


@contextmanager
def _training(
    before: str = "",
    then: str = "",
    limit: float = 60,
    steps: bool = True,
    between: str = "time.sleep(0.01)",
) -> Iterator[subprocess.Popen[str]]:
    code = TRAINING.format(before=before, then=then, limit=limit, steps=steps, between=between)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as it:
        try:
            assert it.stdout
            assert it.stdout.readline() == "ready\n"
            yield it
        finally:
            it.kill()


def _line(process: Process) -> str:
    return process.stdout.readline().rstrip()


BLOCKED = (
    "c = ctypes.CDLL(None); lock = ctypes.create_string_buffer(64); [c.pthread_mutex_lock(lock) for _ in (1, 2)]"
)
NEVER_DONE = "one.is_done = lambda: False"


def test_sigusr1_asks_for_an_export_and_training_goes_on() -> None:
    with _training() as process:
        for _ in range(2):
            process.send_signal(signal.SIGUSR1)
            assert _line(process) == "asked SIGUSR1"
        assert process.poll() is None


def test_after_sigterm_the_process_ends_when_training_lets_it() -> None:
    with _training() as process:
        process.send_signal(signal.SIGTERM)
        assert _line(process) == "asked SIGTERM"
        assert _line(process) == "told"
        assert process.wait(60) == 128 + signal.SIGTERM


def test_a_handler_that_was_there_before_has_the_last_word() -> None:
    with _training(before="signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))") as process:
        process.send_signal(signal.SIGTERM)
        assert _line(process) == "asked SIGTERM"
        assert process.wait(60) == 7


@pytest.mark.parametrize("does", ["sys.exit(7)", "ours(*_)"])
def test_a_handler_that_is_put_before_decides(does: str) -> None:
    other = f"ours = signal.signal(signal.SIGTERM, lambda *_: {does})"
    with _training(then=other) as process:
        process.send_signal(signal.SIGTERM)
        asked = does.startswith("ours")
        assert _line(process) == ("asked SIGTERM" if asked else "")
        assert process.wait(60) == (128 + signal.SIGTERM if asked else 7)


def test_an_export_that_does_not_end_is_given_up_at_the_limit() -> None:
    with _training(NEVER_DONE, limit=0.05) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM


def test_a_second_sigterm_is_impatient() -> None:
    with _training(NEVER_DONE + "; limits.SAME_SIGTERM_SECS = 0") as process:
        process.send_signal(signal.SIGTERM)
        assert _line(process) == "asked SIGTERM"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM


def test_signals_to_the_group_and_from_the_parent_are_one_and_sigusr1_is_late() -> None:
    done = "done = []; signal.signal(signal.SIGUSR2, lambda *_: done.append(1))"
    done += (
        "; one.is_done = lambda: bool(done) and (done.append(1) or len(done) > 100)"  # impatience would come first
    )
    with _training(f"{done}; limits.SAME_SIGTERM_SECS = 99") as process:
        process.send_signal(signal.SIGTERM)
        assert _line(process) == "asked SIGTERM"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGUSR2)
        assert _line(process) == "told"
        assert process.wait(60) == 128 + signal.SIGTERM


def test_without_steps_the_process_ends_in_good_order_once_the_export_is_done() -> None:
    with _training("limits.NO_STEP_SECS = 0.05", steps=False) as process:
        process.send_signal(signal.SIGTERM)
        assert [_line(process), _line(process)] == ["asked SIGTERM", "told"]
        assert process.wait(60) == 128 + signal.SIGTERM


@pytest.mark.parametrize("is_done", [True, False])
def test_a_training_that_does_not_come_back_from_cpp_exports_and_ends(is_done: bool) -> None:
    soon = "limits.NO_STEP_SECS = limits.LAST_RESORT_SECS = limits.IMPATIENT_SECS = 0.05"
    with _training(
        soon if is_done else f"{soon}; {NEVER_DONE}", limit=60 if is_done else 0.05, between=BLOCKED
    ) as process:
        process.send_signal(signal.SIGTERM)
        assert _line(process) == "asked SIGTERM"
        assert process.wait(60) == 128 + signal.SIGTERM


def test_two_are_asked_and_the_process_ends_when_both_are_done() -> None:
    two = "done = []; signal.signal(signal.SIGUSR2, lambda *_: done.append(say('done')))"
    two += "; looked = []; look = lambda: looked or looked.append(say('not yet'))"
    add = "signals.add(listener('two ', lambda: bool(done or (look() and False))))"
    with _training(two, add) as process:
        for name in (signal.SIGUSR1, signal.SIGTERM):
            process.send_signal(name)
            assert [_line(process), _line(process)] == [f"asked {name.name}", f"two asked {name.name}"]
        assert _line(process) == "not yet"
        process.send_signal(signal.SIGUSR2)
        assert [_line(process) for _ in range(3)] == ["done", "told", "told"]
        assert process.wait(60) == 128 + signal.SIGTERM


def test_sigterm_is_not_forgotten_where_the_session_is_made_anew() -> None:
    again = "time.sleep(0.01); one.is_over = lambda: signals.is_stopping; signals.add(one)"
    with _training(between=again) as process:
        process.send_signal(signal.SIGTERM)
        assert [_line(process), _line(process)] == ["asked SIGTERM", "told"]
        assert process.wait(60) == 128 + signal.SIGTERM


def test_signals_do_what_they_did_before_when_the_training_is_over() -> None:
    for then in ("one.is_over = lambda: True", "signals.remove(one)"):
        with _training(then=then) as process:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == -signal.SIGTERM


def test_those_of_a_training_that_failed_are_out_of_the_way() -> None:
    with _training(then="one.is_over = lambda: True; signals.add(listener('again '))") as process:
        process.send_signal(signal.SIGTERM)
        assert [_line(process), _line(process)] == ["again asked SIGTERM", "told"]
        assert process.wait(60) == 128 + signal.SIGTERM


def test_a_forked_child_keeps_its_signals_to_itself() -> None:
    child = """
begun, begins = os.pipe()
child = os.fork()
if child == 0:
    os.write(begins, b"1")
    time.sleep(99)
os.read(begun, 1)
os.kill(child, signal.SIGTERM)
if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGTERM:
    say("the child does not end")
"""
    with _training(then=child) as process:
        process.send_signal(signal.SIGUSR1)
        assert _line(process) == "asked SIGUSR1"
        assert process.poll() is None


@pytest.mark.parametrize("comes", ["before", "after"])
def test_others_that_listen_to_signals_hear_of_them_and_so_do_we(comes: str) -> None:
    other = "import socket; mine, theirs = socket.socketpair(); mine.setblocking(False)"
    other += "; signal.set_wakeup_fd(mine.fileno()); limits.NO_STEP_SECS = 0.05"
    hear = "say('heard', theirs.recv(1)[0])"
    with _training(**{"before" if comes == "before" else "then": other}, between=hear) as process:
        process.send_signal(signal.SIGTERM)
        assert {_line(process), _line(process)} == {"asked SIGTERM", "heard 15"}
        assert process.wait(60) == 128 + signal.SIGTERM


def test_in_another_thread_nothing_is_installed() -> None:
    before = signal.getsignal(signal.SIGTERM)
    signals = ExportSignals()
    listener = SignalListener(print, lambda: True, lambda: None, 1, lambda: False)
    thread = threading.Thread(target=signals.add, args=(listener,))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
    signals.remove(listener)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not signals.is_stopping


def test_a_process_that_has_ended_at_once_is_not_ended_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The main thread may find before the watching one that nobody is to be waited for, and ends in order."""
    signals = ExportSignals()

    def end(*_: object) -> None:
        raise AssertionError("it ends with another status")

    monkeypatch.setattr(signals, "_end_from_main_thread", end)
    signals._end_in_time(_Stopping(time.monotonic(), is_over=True))
