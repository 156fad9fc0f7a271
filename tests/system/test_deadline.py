"""Waiting says for whom and for how long, and ends in time."""

from __future__ import annotations

import threading

import pytest

from autodist_saved.system import deadline
from autodist_saved.system.deadline import Deadline


def test_a_long_wait_says_who_waits_for_whom(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "FIRST_SIGN_SECS", 0.01)
    condition = threading.Condition()
    with condition:
        assert not Deadline(0.1, lambda: "ps:0 waits for chief:0").wait_for(condition, lambda: False)
    assert caplog.messages == ["ps:0 waits for chief:0, for 0 s at most"]


def test_a_short_wait_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    condition = threading.Condition()
    with condition:
        assert Deadline(10, lambda: "never said").wait_for(condition, lambda: True)
        assert not Deadline(0, lambda: "never said").wait_for(condition, lambda: False)
    assert not caplog.messages


def test_what_is_done_meanwhile_ends_the_wait() -> None:
    condition, done = threading.Condition(), threading.Event()

    def finish() -> None:
        with condition:
            done.set()
            condition.notify_all()

    threading.Timer(0.05, finish).start()
    with condition:
        assert Deadline(60, lambda: "").wait_for(condition, done.is_set)
