from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from autodist_saved.periodic.export_thread import THE_TIME, ExportThread
from tests.support.patience import PATIENCE_SECS


class Slow:
    """An export that takes as long as the test wants."""

    def __init__(self) -> None:
        self.reasons: list[list[str]] = []
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def __call__(self, reasons: Sequence[str]) -> None:
        self.reasons.append(list(reasons))
        self.begun.release()
        assert self.go_on.acquire(timeout=PATIENCE_SECS)
        if "bad" in reasons:
            raise ValueError(reasons)


def test_what_is_asked_for_while_an_export_runs_is_one_export_afterwards() -> None:
    export = Slow()
    exports = ExportThread(export)
    exports.ask("first")
    assert export.begun.acquire(timeout=PATIENCE_SECS)
    for reason in ("second", "third", "second"):
        exports.ask(reason)
    export.go_on.release(2)
    exports.end()
    assert exports.wait(PATIENCE_SECS)
    assert export.reasons == [["first"], ["second", "third"]]


def test_a_failure_is_kept_until_it_is_asked_for_and_others_follow() -> None:
    export = Slow()
    exports = ExportThread(export)
    assert exports.failures() == []
    exports.ask("bad")
    assert export.begun.acquire(timeout=PATIENCE_SECS)
    exports.ask("good")
    export.go_on.release(2)
    exports.end()
    assert exports.wait(PATIENCE_SECS)
    (failure,) = exports.failures()
    assert isinstance(failure, ValueError)
    assert exports.failures() == []
    assert export.reasons == [["bad"], ["good"]]


@pytest.mark.parametrize(("reasons", "fails"), [(["bad", "good"], False), (["good", "bad"], True), ([], False)])
def test_the_last_one_decides_how_it_has_ended(reasons: list[str], fails: bool) -> None:
    export = Slow()
    exports = ExportThread(export)
    for reason in reasons:
        exports.ask(reason)
        assert export.begun.acquire(timeout=PATIENCE_SECS)
        export.go_on.release()
    exports.end()
    assert exports.wait(PATIENCE_SECS)
    assert (exports.last_failure is not None) == fails


def test_it_does_not_end_before_what_was_asked_for_is_done() -> None:
    export = Slow()
    exports = ExportThread(export)
    exports.ask("last")
    exports.end()
    exports.end()
    assert not exports.wait()
    export.go_on.release()
    assert exports.wait(PATIENCE_SECS)
    assert export.reasons == [["last"]]


@pytest.mark.parametrize("asked", [0, 1])
def test_it_ends_at_once_where_nothing_was_asked_for(asked: int) -> None:
    exports = ExportThread(lambda _: None)
    for _ in range(asked):
        exports.ask("one")
    exports.end()
    assert exports.wait(PATIENCE_SECS)


def test_every_few_seconds_it_exports_though_nobody_asks() -> None:
    export = Slow()
    exports = ExportThread(export, every_secs=0.01)
    for _ in range(3):
        assert export.begun.acquire(timeout=PATIENCE_SECS)
        export.go_on.release()
    exports.ask("last")
    exports.end()
    export.go_on.release(1000)
    assert exports.wait(PATIENCE_SECS)
    assert export.reasons[:3] == [[THE_TIME]] * 3
    assert export.reasons[-1] == ["last"]


def test_a_time_that_never_comes_is_no_mistake() -> None:
    exports = ExportThread(Slow(), every_secs=1e300)
    exports.end()
    assert exports.wait(PATIENCE_SECS)
