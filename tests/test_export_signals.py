"""Signals to a process that trains: a real one, for handlers belong to a process."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from autodist_saved.export_signals import ExportSignals

Process = subprocess.Popen[str]
TRAINING = """
import signal, sys, time
from autodist_saved.export_signals import ExportSignals
is_over = False
{before}
signals = ExportSignals(lambda name: print("asked", name, flush=True), {limit}, lambda: is_over)
{then}
print("ready", flush=True)
while True:
    time.sleep(0.01)
    if signals.is_stopping and {steps}:
        signals.stop()
"""


@contextmanager
def _training(
    before: str = "", then: str = "", limit: float = 60, steps: bool = True
) -> Iterator[subprocess.Popen[str]]:
    code = TRAINING.format(before=before, then=then, limit=limit, steps=steps)
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
        assert process.wait(60) == 128 + signal.SIGTERM


def test_a_handler_that_was_there_before_has_the_last_word() -> None:
    with _training(before="signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))") as process:
        process.send_signal(signal.SIGTERM)
        assert _line(process) == "asked SIGTERM"
        assert process.wait(60) == 7


@pytest.mark.parametrize("limit", [0.05, 60])
def test_training_that_does_not_come_to_a_step_ends_at_the_limit_or_with_a_second_sigterm(limit: float) -> None:
    with _training(limit=limit, steps=False) as process:
        process.send_signal(signal.SIGTERM)
        assert _line(process) == "asked SIGTERM"
        if limit == 60:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM


def test_signals_do_what_they_did_before_when_the_training_is_over() -> None:
    for then in ("is_over = True", "signals.restore()"):
        with _training(then=then) as process:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == -signal.SIGTERM


def test_those_of_a_training_that_failed_are_out_of_the_way() -> None:
    again = 'signals = ExportSignals(lambda name: print("again", name, flush=True), 60, lambda: False)'
    with _training(then=again) as process:
        process.send_signal(signal.SIGTERM)
        assert _line(process) == "again SIGTERM"
        assert process.wait(60) == 128 + signal.SIGTERM


def test_in_another_thread_nothing_is_installed() -> None:
    before = signal.getsignal(signal.SIGTERM)
    made: list[ExportSignals] = []
    thread = threading.Thread(target=lambda: made.append(ExportSignals(print, 1, lambda: False)))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
    made[0].restore()
    assert signal.getsignal(signal.SIGTERM) is before
    assert not made[0].is_stopping
