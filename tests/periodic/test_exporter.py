"""The exporter of a training that is no session: whoever forwards its calls decides nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autodist_saved.errors import ExportError, TargetError, UsageError
from autodist_saved.options import ExportSchedule
from autodist_saved.periodic import exporter
from autodist_saved.periodic.exporter import PeriodicExporter
from autodist_saved.periodic.publisher import Publisher
from autodist_saved.publish.target import Target
from autodist_saved.publish.versioned import VersionedTarget
from tests.support.patience import PATIENCE_SECS


class NotingPublisher(Publisher):
    """Publishes nothing, and notes what it is asked for; raises what it is given to raise, one after the other."""

    def __init__(self, target: Target, failures: list[Exception]) -> None:
        self.target = target
        self.published: list[str] = []
        self.calls: list[tuple[str, bool]] = []
        self.failures = failures
        self.is_lost = self.is_published = self.has_ended = False
        self.begun = 0
        self.asked_whether_idle = threading.Event()
        self._changed = threading.Condition()

    @property
    def is_idle(self) -> bool:
        self.asked_whether_idle.set()
        return self.is_lost

    @property
    def is_done(self) -> bool:
        return self.is_published

    def begin(self) -> None:
        self.begun += 1

    def publish(self, reason: str, *, always: bool) -> None:
        try:
            if self.failures:
                raise self.failures.pop(0)
            self.published.append(reason)
        finally:
            with self._changed:
                self.calls.append((reason, always))
                self._changed.notify_all()

    def end(self) -> None:
        self.has_ended = True

    def wait_for_calls(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.calls) >= number, PATIENCE_SECS)


class Training:
    """Calls an exporter as a hook does."""

    def __init__(self, base: Path, *failures: Exception, **schedule: Any) -> None:
        self.publisher = NotingPublisher(VersionedTarget(base), list(failures))
        self.exporter = PeriodicExporter(self.publisher, ExportSchedule(**{"signals": False, **schedule}))

    def start(self, step: int | None = 0) -> None:
        self.exporter.prepare()
        self.exporter.start(step, lambda: False)

    def steps(self, first: int, last: int) -> None:
        for step in range(first, last + 1):
            self.exporter.check()
            self.exporter.step(step)


@pytest.fixture
def trainings(tmp_path: Path) -> Iterator[Any]:
    made: list[Training] = []

    def make(*failures: Exception, **schedule: Any) -> Training:
        made.append(Training(tmp_path / "base", *failures, **schedule))
        return made[-1]

    yield make
    for training in made:
        training.exporter.prepare()  # lets go of what a failed test has left


def test_steps_are_counted_from_where_the_training_begins(trainings: Any) -> None:
    training = trainings(every_steps=10, at_end=False)
    training.start(step=7)
    training.steps(8, 16)
    assert not training.exporter.is_due(16)
    assert training.exporter.is_due(17)
    training.steps(17, 26)
    training.publisher.wait_for_calls(1)
    training.steps(27, 30)
    training.exporter.end()
    assert training.publisher.calls == [("step 17", False), ("step 27", False)]
    assert training.publisher.has_ended


def test_a_session_that_is_made_anew_goes_on_counting_where_it_is(trainings: Any) -> None:
    training = trainings(every_steps=10, at_end=False)
    training.start(step=0)
    training.exporter.start(5, lambda: False)
    assert training.publisher.begun == 1
    assert not training.exporter.is_due(14)
    assert training.exporter.is_due(15)


def test_the_last_state_is_not_published_twice(trainings: Any) -> None:
    training = trainings()
    training.start(step=None)
    training.publisher.published.append("the state there is")
    training.publisher.is_published = True
    training.exporter.end()
    assert training.publisher.calls == []


def test_what_comes_by_time_waits_for_the_next_session(trainings: Any) -> None:
    training = trainings(every_secs=0.01, at_end=False)
    training.publisher.is_lost = True
    training.start(step=None)
    for _ in range(3):
        training.publisher.asked_whether_idle.clear()
        assert training.publisher.asked_whether_idle.wait(PATIENCE_SECS)
    assert not training.publisher.calls
    training.publisher.is_lost = False
    training.publisher.wait_for_calls(1)
    training.exporter.end()
    assert training.publisher.calls[0] == ("the time", False)


def test_a_failure_ends_the_training_where_the_schedule_says_so(trainings: Any) -> None:
    training = trainings(ExportError("injected"), every_steps=1, on_error="fail", at_end=False)
    training.start()
    training.exporter.step(1)
    training.publisher.wait_for_calls(1)
    with pytest.raises(ExportError, match="injected"):
        training.exporter.end()
    assert not training.exporter.is_running


def test_mistakes_of_the_program_are_not_tried_again(trainings: Any, caplog: pytest.LogCaptureFixture) -> None:
    training = trainings(UsageError("a mistake"), every_steps=1, retry_secs=0, at_end=False)
    training.start()
    training.exporter.step(1)
    training.publisher.wait_for_calls(1)
    with caplog.at_level(logging.ERROR, "autodist_saved"), pytest.raises(UsageError, match="a mistake"):
        training.exporter.end()
    assert len(training.publisher.calls) == 1


def test_a_training_after_one_that_has_failed_has_a_thread_of_its_own(trainings: Any) -> None:
    training = trainings(every_steps=1, at_end=False)
    training.start()
    training.exporter.step(1)
    training.publisher.wait_for_calls(1)
    training.start()  # nobody has called end()
    training.exporter.step(1)
    training.publisher.wait_for_calls(2)
    training.exporter.end()
    assert training.publisher.begun == 2


def test_a_place_that_does_not_answer_holds_up_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its disk hangs, for instance. A training that begins afterwards is told."""
    monkeypatch.setattr(exporter, "CLOSING_SECS", 0.2)
    answers = threading.Event()
    training = Training(tmp_path)
    monkeypatch.setattr(training.publisher.target, "close", answers.wait)
    training.start()
    training.exporter.end()
    assert training.publisher.published == ["the end of the training"]
    with pytest.raises(TargetError, match=f"an export to {tmp_path} of the training before has not ended"):
        training.start()
    answers.set()
    training.start()
    training.exporter.end()


def test_what_a_target_raises_when_it_is_closed_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(tmp_path)

    def close() -> None:
        raise TargetError("no network")

    monkeypatch.setattr(training.publisher.target, "close", close)
    training.start()
    with pytest.raises(TargetError, match="no network"):
        training.exporter.end()


def test_a_request_names_the_base_and_is_exported_in_any_case(trainings: Any, tmp_path: Path) -> None:
    training = trainings()
    training.start(step=None)
    with pytest.raises(UsageError, match="request an export to that directory"):
        training.exporter.export_on_request(str(tmp_path / "elsewhere"))
    training.exporter.export_on_request(str(tmp_path / "base"))
    assert training.publisher.calls == [("a request", True)]


def test_on_tasks_where_it_was_not_started_nothing_happens(trainings: Any) -> None:
    training = trainings(every_steps=1)
    training.exporter.prepare()
    training.exporter.check()
    training.exporter.step(100)
    training.exporter.end()
    assert not training.publisher.calls
    assert not training.publisher.has_ended


def test_a_request_is_refused_before_the_training_and_after_it(trainings: Any, tmp_path: Path) -> None:
    training = trainings(at_end=False)

    def refused() -> bool:
        with pytest.raises(UsageError, match="request an export while it does"):
            training.exporter.export_on_request(str(tmp_path / "base"))
        return not training.publisher.calls

    assert refused(), "nobody has looked yet whether an export could succeed"
    training.start(step=None)
    training.exporter.end()
    assert refused(), "the base belongs to others again"
