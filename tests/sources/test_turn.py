"""One export or checkpoint of a saver at a time, and none waits for one that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from autodist_saved.errors import ExportError
from autodist_saved.sources.turn import Hold, Turn
from tests.support.patience import PATIENCE_SECS

STALLED_SECS = 0.3


class Waiting:
    """A thread that waits for its turn."""

    def __init__(self, turn: Turn, patience_secs: float) -> None:
        self._holds: list[Hold] = []
        self._thread = threading.Thread(target=lambda: self._holds.append(turn.take(patience_secs)))
        self._thread.start()

    def waits(self, secs: float = 0.2) -> bool:
        self._thread.join(secs)
        return self._thread.is_alive()

    def hold(self) -> Hold:
        self._thread.join(PATIENCE_SECS)
        (hold,) = self._holds
        return hold


@pytest.fixture
def turn() -> Turn:
    return Turn()


@pytest.fixture
def first(turn: Turn) -> Iterator[Hold]:
    hold = turn.take_now()
    assert hold
    yield hold
    hold.give_back()


def test_who_waits_gets_it_when_it_is_given_back(turn: Turn, first: Hold) -> None:
    assert turn.take_now() is None
    second = Waiting(turn, PATIENCE_SECS)
    assert second.waits()
    first.give_back()
    first.give_back()
    assert not second.hold().is_lost
    assert turn.is_taken
    second.hold().give_back()
    assert not turn.is_taken


def test_one_that_advances_is_waited_for(turn: Turn, first: Hold) -> None:
    second = Waiting(turn, 2.0)
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        first.advance()
        assert second.waits(0.05)
    first.check()
    first.give_back()
    second.hold().check()


def test_one_that_hangs_loses_it(turn: Turn, first: Hold, caplog: pytest.LogCaptureFixture) -> None:
    second = Waiting(turn, STALLED_SECS).hold()
    assert first.is_lost
    with pytest.raises(ExportError, match="another export or checkpoint of this saver has taken the copies"):
        first.check()
    with pytest.raises(ExportError), first.copying():
        raise AssertionError("these are the copies of the other one")
    assert "has not advanced for 0.3 s; perhaps its disk hangs" in caplog.text
    first.give_back()
    assert turn.is_taken, "by the other one"
    second.check()


def test_nobody_takes_it_while_copies_are_made(turn: Turn, first: Hold) -> None:
    with first.copying():
        second = Waiting(turn, STALLED_SECS)
        assert second.waits(3 * STALLED_SECS)
    assert second.waits(STALLED_SECS / 3), "copying is an advance"
    assert not second.hold().is_lost
    assert first.is_lost
