"""The export hook in one process; in a cluster it is in test_cluster_hook.py."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import (
    ExportError,
    OptionsError,
    SaverRequiredError,
    SignatureError,
    TargetError,
    UsageError,
)
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.target import Target
from autodist_saved.sources.plain_session import plain_session
from autodist_saved.system.signals import EXPORT_SIGNALS
from tests.support.patience import PATIENCE_SECS


class Training:
    """A training of one process, with the hook."""

    def __init__(self, base: Path, *, count_steps: bool = True, **arguments: Any) -> None:
        self.step = v1.train.get_or_create_global_step() if count_steps else None
        weight = v1.get_variable("w", initializer=0.0, use_resource=True)
        self.train = tf.group(weight.assign_add(1.0), *([self.step.assign_add(1)] if count_steps else []))
        self.base = base
        schedule = arguments.pop("schedule", {})
        self.hook = ads.ChiefExportHook(base, saver=ads.Saver(), schedule=ads.ExportSchedule(**schedule), **arguments)

    @contextmanager
    def session(self) -> Iterator[v1.train.MonitoredSession]:
        with v1.train.MonitoredSession(v1.train.ChiefSessionCreator(), hooks=[self.hook]) as session:
            yield session

    def run(self, steps: int) -> None:
        with self.session() as session:
            for _ in range(steps):
                session.run(self.train)

    def run_until_sigterm(self, *hooks: v1.train.SessionRunHook) -> None:
        """With further hooks. SIGTERM comes after the first step."""
        with v1.train.MonitoredSession(v1.train.ChiefSessionCreator(), hooks=[self.hook, *hooks]) as session:
            session.run(self.train)
            os.kill(os.getpid(), signal.SIGTERM)
            while not session.should_stop():
                session.run(self.train)

    def steps_of_versions(self) -> list[float]:
        """The number of steps in each version, by plain TensorFlow."""
        versions = sorted(int(path.name) for path in self.base.iterdir() if path.name.isdigit())
        assert versions == list(range(1, len(versions) + 1))
        return [self._steps_of(str(version)) for version in versions]

    def _steps_of(self, version: str) -> float:
        with tf.Graph().as_default(), v1.Session() as session:
            v1.saved_model.loader.load(session, ["serve"], str(self.base / version))
            return float(session.run("w/Read/ReadVariableOp:0"))


class Asked(Target):
    """A target of another kind, with models one after the other. Remembers for how much room it was asked."""

    path = "elsewhere"
    nbytes = 0

    def __init__(self, place: Path) -> None:
        self.place = place
        self.tasks: list[str] = []
        self.committed: list[str] = []

    def preflight(self, nbytes: int, task: str = "") -> None:
        self.nbytes = nbytes
        self.tasks.append(task)

    def check(self) -> None:
        pass

    def open(self, task: str = "") -> SavedModelFiles:
        self.tasks.append(task)
        root = self.place / f"model {len(self.committed)}"
        root.mkdir(parents=True)
        return SavedModelFiles(root)

    def commit(self) -> str:
        self.committed.append(f"elsewhere/{len(self.committed)}")
        return self.committed[-1]

    def abandon(self) -> None:
        pass


def test_the_last_state_is_published_at_the_end(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base")
    training.run(3)
    assert training.steps_of_versions() == [3]
    assert training.hook.published == [str(tmp_path / "base" / "1")]


def test_every_n_steps_a_version_and_no_one_is_lost_at_the_end(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base", schedule={"every_steps": 2, "at_end": False})
    published = threading.Semaphore(0)
    training.hook._publisher.publish = _then(training.hook._publisher.publish, published.release)
    with training.session() as session:
        for step in range(1, 7):
            session.run(training.train)
            if step % 2 == 0:
                assert published.acquire(timeout=PATIENCE_SECS)
    assert training.steps_of_versions() == [2, 4, 6]


def test_what_is_published_already_is_not_published_again_at_the_end(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base", schedule={"every_steps": 3})
    for _ in range(2):  # the second training begins anew, and ends after as many steps
        published = threading.Semaphore(0)
        training.hook._publisher.publish = _then(training.hook._publisher.publish, published.release)
        with training.session() as session:
            for _ in range(3):
                session.run(training.train)
            assert published.acquire(timeout=PATIENCE_SECS)
    assert training.steps_of_versions() == [3, 3]


def test_what_was_changed_after_the_last_version_is_published_at_the_end(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base", schedule={"every_steps": 3})
    published = threading.Semaphore(0)
    training.hook._publisher.publish = _then(training.hook._publisher.publish, published.release)
    change = v1.assign_add(v1.global_variables("w")[0], 0.5)
    with training.session() as session:
        for _ in range(3):
            session.run(training.train)
        assert published.acquire(timeout=PATIENCE_SECS)
        session.run(change)
    assert training.steps_of_versions() == [3, 3.5]


def test_every_few_seconds_works_without_a_global_step(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base", count_steps=False, schedule={"every_secs": 1e-6, "at_end": False})
    training.run(5)
    assert training.steps_of_versions()


def test_every_few_seconds_a_version_though_no_step_comes(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base", schedule={"every_secs": 0.01, "at_end": False})
    published = threading.Semaphore(0)
    training.hook._publisher.publish = _then(training.hook._publisher.publish, published.release)
    with training.session() as session:
        session.run(training.train)
        for _ in range(2):
            assert published.acquire(timeout=PATIENCE_SECS)
    assert training.steps_of_versions()[:2] == [1, 1]


def test_when_the_training_has_failed_no_more_versions_are_due(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base", schedule={"every_secs": 0.01})
    is_due, has_failed, due = threading.Event(), threading.Event(), threading.Semaphore(0)

    def wait_for_the_failure() -> None:
        is_due.set()
        assert has_failed.wait(PATIENCE_SECS)

    def train() -> None:
        with training.session():
            exports = training.hook._exporter._thread
            exports._export = _after(wait_for_the_failure, _then(exports._export, due.release))
            assert is_due.wait(PATIENCE_SECS)  # and none that has begun before is under way
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        train()
    has_failed.set()
    exports = training.hook._exporter._thread
    for _ in range(3):
        assert due.acquire(timeout=PATIENCE_SECS)
    exports.end()
    assert exports.wait(PATIENCE_SECS)
    assert not [failure for failure in exports.failures() if "lost" in str(failure)]


def test_without_a_global_step_steps_cannot_be_counted(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base", count_steps=False, schedule={"every_steps": 2})
    with pytest.raises(UsageError, match="get_or_create_global_step"):
        training.run(1)


def test_training_goes_on_after_a_failure_which_is_told(
    graph: tf.Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failed = threading.Event()
    training = Training(tmp_path / "base", schedule={"every_steps": 2, "on_error": "warn"}, then=_fail_until(2))
    training.hook._exporter._export = _finally(training.hook._exporter._export, failed.set)
    with caplog.at_level(logging.ERROR), training.session() as session:
        session.run(training.train)
        session.run(training.train)
        assert failed.wait(PATIENCE_SECS)
        session.run(training.train)
    assert training.steps_of_versions() == [3]
    assert "injected" in caplog.text
    assert "training goes on" in caplog.text
    ours = [record.message for record in caplog.records if record.name.startswith("autodist_saved")]
    assert ours[-1] == f"failed exports to {tmp_path / 'base'}: 1"


def test_a_failure_is_tried_again(graph: tf.Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    schedule = {"on_error": "retry", "attempts": 3, "retry_secs": 0}
    training = Training(tmp_path / "base", schedule=schedule, then=_fail_until(3))
    with caplog.at_level(logging.WARNING, "autodist_saved"):
        training.run(1)
    assert training.steps_of_versions() == [1]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    told = f"an export to {tmp_path / 'base'} failed; the next attempt is in 0 s: injected"
    assert sum(told in record.getMessage() for record in caplog.records) == 2


def test_at_the_end_as_well_an_export_is_tried_again_after_a_while_and_within_its_time(
    graph: tf.Graph, tmp_path: Path
) -> None:
    schedule = {"on_error": "retry", "retry_secs": 3600, "last_export_secs": 0.5}
    training = Training(tmp_path / "base", schedule=schedule, then=_fail_until(2))
    publishing, given_up = [], threading.Event()
    training.hook._publisher.publish = _finally(training.hook._publisher.publish, lambda: publishing.append(1))
    training.hook._exporter._export = _finally(training.hook._exporter._export, given_up.set)
    with pytest.raises(ExportError, match="did not end within 0.5 s"):
        training.run(1)
    assert given_up.wait(PATIENCE_SECS)
    assert publishing == [1]
    assert training.steps_of_versions() == []


def test_a_failure_ends_the_training_where_that_is_asked_for(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base", schedule={"every_steps": 1, "on_error": "fail"}, then=_fail_until(99))
    with pytest.raises(ExportError, match="injected"):
        training.run(10**9)
    assert not list((tmp_path / "base").glob("[0-9]*"))


def test_what_cannot_be_written_is_told_before_the_first_step(graph: tf.Graph, tmp_path: Path) -> None:
    (tmp_path / "base").write_text("a file")
    with pytest.raises(TargetError, match="base"):
        Training(tmp_path / "base").run(1)


@pytest.mark.parametrize("on_error", ["warn", "retry", "fail"])
def test_a_training_whose_last_export_has_failed_does_not_end_well_unless_it_is_to_be_a_warning(
    graph: tf.Graph, tmp_path: Path, on_error: str, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = {"on_error": on_error, "attempts": 2, "retry_secs": 0}
    training = Training(tmp_path / "base", schedule=schedule, then=_fail_until(99))
    if on_error == "warn":
        training.run(1)
        assert "an export to" in caplog.text
    else:
        with pytest.raises(ExportError, match="injected"):
            training.run(1)
    assert training.steps_of_versions() == []


@pytest.mark.parametrize("on_error", ["warn", "retry", "fail"])
def test_a_last_export_over_its_time_is_a_failure_as_any_other(
    graph: tf.Graph, tmp_path: Path, on_error: str, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()
    training = Training(
        tmp_path / "base",
        schedule={"on_error": on_error, "last_export_secs": 0.01},
        then=lambda _: go_on.wait(PATIENCE_SECS),
    )
    try:
        if on_error == "warn":
            training.run(1)
            assert "did not end within 0.01 s" in caplog.text
            assert f"failed exports to {tmp_path / 'base'}: 1" in caplog.text
        else:
            with pytest.raises(ExportError, match="did not end within 0.01 s"):
                training.run(1)
    finally:
        go_on.set()


def test_a_target_that_does_not_answer_does_not_hold_up_the_end(graph: tf.Graph, tmp_path: Path) -> None:
    answers = threading.Event()
    closed_in_time = threading.Event()

    class Silent(Asked):
        def commit(self) -> str:
            answers.wait(PATIENCE_SECS)
            return super().commit()

        def close(self) -> None:
            if answers.wait(PATIENCE_SECS / 10):
                closed_in_time.set()

    training = Training(Silent(tmp_path), schedule={"last_export_secs": 0.01})
    with pytest.raises(ExportError, match="did not end within 0.01 s"):
        training.run(1)
    answers.set()
    training.hook.begin()
    assert closed_in_time.is_set()


def test_looking_at_the_target_is_told_before_it_is_done(
    graph: tf.Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    class Watched(Asked):
        def preflight(self, nbytes: int, task: str = "") -> None:
            told.append(caplog.text)

    with caplog.at_level(logging.INFO, "autodist_saved"):
        Training(Watched(tmp_path)).run(1)
    assert "looking whether elsewhere takes models" in told[0]


def test_an_export_between_two_sessions_is_tried_again_with_the_next(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base", schedule={"attempts": 2, "retry_secs": 0})
    hook = training.hook
    with training.session() as session:
        session.run(training.train)
        publisher = hook._publisher
        following = publisher._session
        hook._publisher._session = v1.Session()
        hook._publisher._session.close()
        hook._publisher.publish = _finally(
            hook._publisher.publish, lambda: setattr(hook._publisher, "_session", following)
        )
    assert training.steps_of_versions() == [1]


@pytest.mark.parametrize("mistake", [UsageError, TypeError, KeyError, AssertionError])
def test_a_mistake_of_the_program_is_not_tried_again(
    graph: tf.Graph, tmp_path: Path, mistake: type[Exception]
) -> None:
    calls = []

    def fail(_: ads.SavedModelBuilder) -> None:
        calls.append(1)
        raise mistake("injected")

    training = Training(tmp_path / "base", schedule={"retry_secs": 0}, then=fail)
    with pytest.raises(mistake, match="injected"):
        training.run(1)
    assert calls == [1]


def test_an_argument_that_the_builder_does_not_know_is_refused_at_once(graph: tf.Graph, tmp_path: Path) -> None:
    v1.get_variable("w", initializer=0.0)
    saver = ads.Saver()
    with pytest.raises(TypeError, match="train_opp"):
        ads.ChiefExportHook(tmp_path / "base", saver=saver, train_opp=None)
    with pytest.raises(TypeError, match="sess"):
        ads.ChiefExportHook(tmp_path / "base", saver=saver, sess=None)


def test_a_saver_of_an_equal_graph_is_told_before_the_first_step(graph: tf.Graph, tmp_path: Path) -> None:
    with tf.Graph().as_default():
        other = Training(tmp_path / "base")
    training = Training(tmp_path / "base")
    training.hook = other.hook
    with pytest.raises(UsageError, match="the saver was made in another graph"), training.session():
        pytest.fail("there is a session")
    assert not (tmp_path / "base").exists()


def test_what_is_wrong_with_the_model_is_told_before_the_first_step(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base", tags="serve", serving=True)
    with pytest.raises(SignatureError, match="2 problems"), training.session():
        pytest.fail("there is a session")
    assert not (tmp_path / "base").exists()


def test_there_has_to_be_room_for_what_is_exported_and_not_for_all_that_is_trained(
    graph: tf.Graph, tmp_path: Path
) -> None:
    x = v1.placeholder(tf.float32, [1, 4], "x")
    y = x @ v1.get_variable("served", [4, 4], use_resource=True)
    v1.get_variable("slot", [1000, 1000], use_resource=True)
    target = Asked(tmp_path / "base")
    signatures = {"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": y})}
    Training(target, signature_def_map=signatures, serving=True).run(1)
    assert target.nbytes == 4 * 4 * 4


def test_any_target_that_takes_models_in_turn_will_do(graph: tf.Graph, tmp_path: Path) -> None:
    target = Asked(tmp_path)
    training = Training(target, schedule={"every_steps": 1})
    training.run(2)
    assert training.hook.published == target.committed != []
    assert set(target.tasks) == {"worker:0"}


def test_a_request_names_the_base_as_a_path_or_as_a_url(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base", schedule={"at_end": False})
    with training.session() as session:
        session.run(training.train)
        for place in (f"{tmp_path}/base/", f"{tmp_path}/x/../base", f"file://{tmp_path}/base"):
            training.hook._exporter.export_on_request(place)
        for place in (str(tmp_path), f"memory://{tmp_path}/base"):
            with pytest.raises(UsageError, match="publishes versions in .*/base alone"):
                training.hook._exporter.export_on_request(place)
    assert training.steps_of_versions() == [1, 1, 1]


def test_sigusr1_publishes(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base", schedule={"at_end": False})
    published = threading.Event()
    training.hook._publisher.publish = _then(training.hook._publisher.publish, published.set)
    with training.session() as session:
        session.run(training.train)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert published.wait(PATIENCE_SECS)
    assert training.steps_of_versions() == [1]
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_sigterm_publishes_a_last_time_and_ends_the_training(graph: tf.Graph, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    training = Training(tmp_path / "base")
    terminating = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    training.hook.before_run = _then(training.hook.before_run, lambda: terminating.ident or terminating.start())
    with pytest.raises(SystemExit) as ended:
        training.run(10**9)
    assert ended.value.code == 128 + signal.SIGTERM
    assert len(training.steps_of_versions()) == 1
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_hook_may_be_used_again_after_a_training_that_went_well_and_one_that_failed(
    graph: tf.Graph, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    training = Training(tmp_path / "base", schedule={"on_error": "fail"})
    training.run(1)
    with pytest.raises(ArithmeticError), training.session():
        raise ArithmeticError
    training.run(2)
    assert training.steps_of_versions() == [1, 2]
    assert len(training.hook.published) == 2
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_export_that_wants_to_end_the_process_has_failed_and_the_next_one_comes(
    graph: tf.Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[bool] = []

    def then(_: ads.SavedModelBuilder) -> None:
        if not ended:
            ended.append(True)
            raise SystemExit(3)

    failed = threading.Event()
    training = Training(tmp_path / "base", schedule={"every_steps": 1, "on_error": "warn"}, then=then)
    training.hook._exporter._export = _finally(training.hook._exporter._export, failed.set)
    with training.session() as session:
        session.run(training.train)
        assert failed.wait(PATIENCE_SECS)
    assert training.steps_of_versions() == [1]
    assert "the export raised SystemExit(3)" in caplog.text


def test_the_last_state_is_published_though_sigterm_has_published_an_earlier_one(
    graph: tf.Graph, tmp_path: Path
) -> None:
    training = Training(tmp_path / "base")
    ended = threading.Event()
    goes_on = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        with training.session() as session:
            session.run(training.train)
            os.kill(os.getpid(), signal.SIGTERM)
            while not ended.is_set():
                session.run(training.train)
            session.run(training.train)
            last = session.run(training.step)
    finally:
        signal.signal(signal.SIGTERM, goes_on)
    first, second = training.steps_of_versions()
    assert first < second == last


def test_the_end_is_published_though_sigterm_has_ended_the_exports(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base")
    with training.session() as session:
        session.run(training.train)
        os.kill(os.getpid(), signal.SIGTERM)
        assert training.hook._exporter._thread.wait(PATIENCE_SECS)
        plain_session(session).run(training.train)
    assert training.steps_of_versions() == [1, 2]


def test_sigterm_holds_in_a_session_that_is_made_anew(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "base")
    go_on = threading.Event()
    training.hook._publisher.publish = _after(go_on.wait, training.hook._publisher.publish)
    sessions: list[v1.Session] = []

    class Lost(v1.train.SessionRunHook):  # type: ignore[misc]
        def after_create_session(self, session: v1.Session, coord: tf.train.Coordinator) -> None:
            sessions.append(session)
            if len(sessions) == 2:
                go_on.set()

        def after_run(self, run_context: v1.train.SessionRunContext, run_values: Any) -> None:
            if EXPORT_SIGNALS.is_stopping and len(sessions) == 1:
                raise tf.errors.AbortedError(None, None, "injected")

    with pytest.raises(SystemExit):
        training.run_until_sigterm(Lost())
    assert len(sessions) == 2
    assert len(training.steps_of_versions()) == 1


def test_two_hooks_of_a_session_both_publish_on_sigterm(graph: tf.Graph, tmp_path: Path) -> None:
    training = Training(tmp_path / "a")
    other = ads.ChiefExportHook(tmp_path / "b", saver=training.hook._publisher._saver)
    with pytest.raises(SystemExit):
        training.run_until_sigterm(other)
    assert len(training.hook.published) == len(other.published) == 1


def test_further_meta_graphs_share_the_variables(graph: tf.Graph, tmp_path: Path) -> None:
    saver: list[ads.Saver] = []
    training = Training(tmp_path / "base", then=lambda builder: builder.add_meta_graph(["again"], saver=saver[0]))
    saver.append(training.hook._publisher._saver)
    training.run(2)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.loader.load(session, ["again"], str(tmp_path / "base" / "1"))
        assert session.run("w/Read/ReadVariableOp:0") == 2


def test_a_training_in_another_thread_publishes_without_signals(
    graph: tf.Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    training = Training(tmp_path / "base")

    def run() -> None:
        with graph.as_default():
            training.run(2)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE_SECS)
    assert training.steps_of_versions() == [2]


def test_a_wrong_saver_and_a_wrong_schedule_are_refused_at_once(graph: tf.Graph, tmp_path: Path) -> None:
    v1.get_variable("w", initializer=0.0)
    for saver, said in ((v1.train.Saver(), "a tf.compat.v1.train.Saver is not an"), (None, "no saver was given")):
        with pytest.raises(SaverRequiredError, match=rf"{said}.*\n    saver = autodist_saved.Saver\(\)"):
            ads.ChiefExportHook(tmp_path, saver=saver)
    with pytest.raises(OptionsError, match="exclude each other"):
        ads.ExportSchedule(every_steps=1, every_secs=1)
    with pytest.raises(OptionsError, match="every_steps"):
        ads.ExportSchedule(every_steps=0)


def _then(call: Any, after: Any) -> Any:
    def both(*arguments: Any, **named: Any) -> None:
        call(*arguments, **named)
        after()

    return both


def _after(before: Any, call: Any) -> Any:
    def both(*arguments: Any, **named: Any) -> None:
        before()
        call(*arguments, **named)

    return both


def _finally(call: Any, after: Any) -> Any:
    def both(*arguments: Any, **named: Any) -> None:
        try:
            call(*arguments, **named)
        finally:
            after()

    return both


def _fail_until(attempt: int) -> Any:
    attempts = iter(range(1, 1000))

    def fail(builder: ads.SavedModelBuilder) -> None:
        if next(attempts) < attempt:
            raise ExportError("injected")

    return fail
