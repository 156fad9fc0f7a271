"""Signals to tasks that are not the chief, where the program has handlers of its own."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from autodist_saved.cluster import Cluster
from autodist_saved.control.member_signals import MemberSignals


@pytest.mark.parametrize("own", [signal.SIG_IGN, lambda *_: None])
def test_what_the_program_does_on_sigusr1_stays_so(own: Any) -> None:
    before = signal.signal(signal.SIGUSR1, own), signal.getsignal(signal.SIGTERM)
    signals = MemberSignals(Cluster.local().for_task("ps:0"), SimpleNamespace(has_chief=True), 1)  # type: ignore[arg-type]
    try:
        signals.heed()
        assert signal.getsignal(signal.SIGUSR1) is own
        assert signal.getsignal(signal.SIGTERM) is not before[1]
        signals.forget()
        assert signal.getsignal(signal.SIGUSR1) is own
        assert signal.getsignal(signal.SIGTERM) is before[1]
    finally:
        signals.forget()
        signal.signal(signal.SIGUSR1, before[0])
