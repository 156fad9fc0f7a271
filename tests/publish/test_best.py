"""Exports of what is better only, in one process."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import ExportError, SignatureError, UsageError
from autodist_saved.graph.arguments.metric import metric_problems
from autodist_saved.periodic.export_thread import ExportThread
from autodist_saved.publish.manifest import read_manifest
from tests.support.patience import PATIENCE_SECS


class Training:
    """One whose steps are of the accuracies that are given, and are exported one by one."""

    def __init__(
        self,
        base: Path,
        *,
        mode: str = "max",
        keep_best: bool = False,
        of_path: bool = False,
        at_end: bool = False,
    ) -> None:
        self.base = base
        with tf.Graph().as_default() as self.graph:
            self.next = v1.placeholder(tf.float64, [])
            accuracy = v1.get_variable("accuracy", [], tf.float64, use_resource=True)
            step = v1.train.get_or_create_global_step()
            self.train = tf.group(accuracy.assign(self.next), step.assign_add(1))
            best = ads.BestBy("accuracy", accuracy.read_value(), mode)
            retention = ads.Retention(keep=1, keep_best=best if keep_best else None)
            if not keep_best:
                retention = ads.Retention(keep=None)
            self.hook = ads.ChiefExportHook(
                base if of_path else ads.VersionedTarget(base, retention=retention),
                saver=ads.Saver(),
                schedule=ads.ExportSchedule(every_steps=1, at_end=at_end, on_error="fail"),
                best=best,
            )

    def run(self, values: Sequence[float]) -> list[float]:
        """The values of the versions that are there then."""
        with self.session() as session, self.exports() as exported:
            for value in values:
                session.run(self.train, {self.next: value})
                assert exported.acquire(timeout=PATIENCE_SECS)
        return self.published()

    @contextmanager
    def session(self) -> Iterator[v1.train.MonitoredSession]:
        with (
            self.graph.as_default(),
            v1.train.MonitoredSession(v1.train.ChiefSessionCreator(), hooks=[self.hook]) as session,
        ):
            yield session

    @contextmanager
    def exports(self) -> Iterator[threading.Semaphore]:
        """Is released for every export that was due, made or not."""
        exports: ExportThread = self.hook._exporter._thread
        export, done = exports._export, threading.Semaphore(0)

        def noted(reasons: Sequence[str]) -> None:
            export(reasons)
            done.release()

        exports._export = noted
        yield done

    def published(self) -> list[float]:
        return [report.metrics.get("accuracy", math.nan) for report in ads.VersionedTarget(self.base).reports()]


@pytest.mark.parametrize(("mode", "published"), [("max", [0.5, 0.7, 0.9]), ("min", [0.5, 0.4])])
def test_only_what_is_better_is_published(tmp_path: Path, mode: str, published: list[float]) -> None:
    assert Training(tmp_path, mode=mode).run([0.5, 0.7, 0.4, 0.7, 0.9]) == published
    assert all(
        float(tf.train.load_variable(str(tmp_path / str(version) / "variables" / "variables"), "accuracy")) == value
        for version, value in enumerate(published, 1)
    )


def test_what_is_not_finite_is_never_the_best(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Training(tmp_path).run([math.nan, math.inf, 0.5, math.nan, 0.6]) == [0.5, 0.6]
    assert "accuracy is nan, which is never the best" in caplog.text


def test_a_restarted_job_knows_the_best_so_far(tmp_path: Path) -> None:
    Training(tmp_path).run([0.5, 0.8])
    assert Training(tmp_path).run([0.6, 0.8, 0.9]) == [0.5, 0.8, 0.9]


def test_versions_without_the_metric_are_no_better_than_any(graph: tf.Graph, tmp_path: Path) -> None:
    v1.get_variable("w", initializer=0.0, use_resource=True)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(ads.VersionedTarget(tmp_path))
        builder.add_meta_graph_and_variables(session, ["serve"], saver=saver)
        builder.save()
    (tmp_path / "7").mkdir()
    without, best = Training(tmp_path).run([-2.0])
    assert math.isnan(without)
    assert best == -2.0


def test_the_last_state_is_published_only_if_it_is_better(tmp_path: Path) -> None:
    assert Training(tmp_path, at_end=True).run([0.5, 0.4]) == [0.5]


def test_what_is_asked_for_is_published_in_any_case_and_the_best_stays(tmp_path: Path) -> None:
    training = Training(tmp_path, keep_best=True)
    with training.session() as session, training.exports() as exported:
        for value in (0.8, 0.3):
            session.run(training.train, {training.next: value})
            assert exported.acquire(timeout=PATIENCE_SECS)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert exported.acquire(timeout=PATIENCE_SECS)
        training.hook._exporter.export_on_request(str(tmp_path))
    assert training.published() == [0.8, 0.3]
    assert [Path(path).name for path in training.hook.published] == ["1", "2", "3", "4"]


def test_in_a_base_that_is_a_path_the_best_stays_however_many_others_are_asked_for(tmp_path: Path) -> None:
    training = Training(tmp_path, of_path=True)
    with training.session() as session, training.exports() as exported:
        for value in (0.8, 0.3):
            session.run(training.train, {training.next: value})
            assert exported.acquire(timeout=PATIENCE_SECS)
        for _ in range(5):
            training.hook._exporter.export_on_request(str(tmp_path))
    assert training.published() == [0.8, 0.3, 0.3, 0.3, 0.3, 0.3]


@pytest.mark.parametrize("keep_best", ["no", "another"])
def test_a_target_that_does_not_keep_the_best_is_warned_of(
    graph: tf.Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture, keep_best: str
) -> None:
    v1.get_variable("w", initializer=0.0, use_resource=True)
    best = ads.BestBy("loss", lambda _: 1.0, mode="min")
    retention = ads.Retention(keep_best=None if keep_best == "no" else ads.BestBy("loss", mode="max"))
    target = ads.VersionedTarget(tmp_path, retention=retention)
    hook = ads.ChiefExportHook(target, saver=ads.Saver(), best=best)
    with v1.train.MonitoredSession(v1.train.ChiefSessionCreator(), hooks=[hook]):
        pass
    assert [
        record.message for record in caplog.records if "the best version by loss may be removed" in record.message
    ]


def test_a_function_of_the_session_may_tell_the_metric(graph: tf.Graph, tmp_path: Path) -> None:
    fed = v1.placeholder(tf.float32, [])
    double = fed * v1.get_variable("w", initializer=2.0, use_resource=True)
    best = ads.BestBy("loss", lambda session: session.run(double, {fed: 0.25}), mode="min")
    hook = ads.ChiefExportHook(tmp_path, saver=ads.Saver(), best=best)
    with v1.train.MonitoredSession(v1.train.ChiefSessionCreator(), hooks=[hook]):
        pass
    manifest = read_manifest(tmp_path / "1")
    assert manifest.metrics == {"loss": 0.5}
    assert manifest.metric_modes == {"loss": "min"}
    assert ("metrics", "loss 0.5 (min is the best)") in manifest.facts()


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (np.zeros(3), r"the metric 'loss' has the shape \(3,\); pass BestBy a scalar"),
        (None, "the metric 'loss' is None; pass BestBy a number"),
    ],
)
def test_a_metric_that_is_no_number_is_told_and_not_tried_again(
    graph: tf.Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture, returned: object, said: str
) -> None:
    v1.get_variable("w", [3], use_resource=True)
    best = ads.BestBy("loss", lambda _: returned, mode="min")
    hook = ads.ChiefExportHook(tmp_path, saver=ads.Saver(), best=best)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(UsageError, match=said),
        v1.train.MonitoredSession(v1.train.ChiefSessionCreator(), hooks=[hook]),
    ):
        pass
    assert not [record for record in caplog.records if "Retrying" in record.message]


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (RuntimeError("validation set is gone"), ExportError, r"\(RuntimeError: validation set is gone\)"),
        (KeyError("auc"), UsageError, r"\(KeyError: 'auc'\)"),
    ],
)
def test_a_metric_that_fails_is_named(
    graph: tf.Graph, tmp_path: Path, raised: Exception, kind: type[Exception], said: str
) -> None:
    def fail(_: object) -> float:
        raise raised

    v1.get_variable("w", [3], use_resource=True)
    schedule = ads.ExportSchedule(retry_secs=0)
    hook = ads.ChiefExportHook(tmp_path, saver=ads.Saver(), best=ads.BestBy("loss", fail), schedule=schedule)
    with (
        pytest.raises(kind, match=f"the metric 'loss' cannot be measured {said}") as caught,
        v1.train.MonitoredSession(v1.train.ChiefSessionCreator(), hooks=[hook]),
    ):
        pass
    assert caught.value.__cause__ is raised


def test_a_tensor_that_can_be_no_metric_is_refused_with_all_else_before_the_first_step(
    graph: tf.Graph, tmp_path: Path
) -> None:
    words = v1.placeholder(tf.string, [2], name="words")
    v1.get_variable("w", [3], use_resource=True)
    best = ads.BestBy("longest", tf.strings.upper(words))
    signatures: Any = {"f": v1.saved_model.predict_signature_def({"x": words}, {"y": words})}
    signatures["f"].outputs["y"].name = "gone:0"
    tags: Any = [3]
    hook = ads.ChiefExportHook(tmp_path, saver=ads.Saver(), best=best, signature_def_map=signatures, tags=tags)
    with (
        pytest.raises(SignatureError) as caught,
        v1.train.MonitoredSession(v1.train.ChiefSessionCreator(), hooks=[hook]),
    ):
        pass
    told = [(problem.place, problem.what) for problem in caught.value.problems]
    assert told[:4] == [
        ("tags[0]", "3 is not a string"),
        ("the metric 'longest'", "its value is string, which is not a number"),
        ("the metric 'longest'", "its value has the shape (2,)"),
        ("the metric 'longest'", "it needs placeholders that nobody feeds: words"),
    ]
    (other,) = told[4:]
    assert "gone:0" in other[1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["accuracy:0", 0.5, ["w"]])
def test_what_is_no_tensor_of_the_graph_is_no_metric(graph: tf.Graph, value: object) -> None:
    (problem,) = metric_problems("accuracy", value, graph)
    assert "its value is not a tensor of the job's graph" in problem.what


@pytest.mark.parametrize("dtype", [tf.float16, tf.int64, tf.bool])
def test_any_number_that_needs_nothing_is_a_metric(graph: tf.Graph, dtype: tf.DType) -> None:
    variable = v1.get_variable("w", [], dtype, initializer=v1.zeros_initializer(), use_resource=True)
    unknown = v1.placeholder_with_default(tf.zeros([3], dtype), None)
    for value in (variable, "w/Read/ReadVariableOp:0", tf.identity(variable), unknown):
        assert not list(metric_problems("accuracy", value, graph))


def test_a_metric_that_never_was_a_number_is_an_error_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert Training(tmp_path).run([math.nan, math.inf]) == []
    (told,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    said = f"no model was published to {tmp_path}, because the metric 'accuracy' was never a finite number"
    assert told.getMessage().startswith(said)
    caplog.clear()
    Training(tmp_path).run([math.nan, 0.5])
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_what_makes_no_sense_is_refused_at_once(graph: tf.Graph, tmp_path: Path) -> None:
    v1.get_variable("w", initializer=0.0)
    wrong: Any = "greatest"
    with pytest.raises(UsageError, match="use 'max' or 'min'"):
        ads.BestBy("auc", lambda _: 1.0, wrong)
    with pytest.raises(UsageError, match="cannot be measured"):
        ads.ChiefExportHook(tmp_path, saver=ads.Saver(), best=ads.BestBy("auc"))
    with pytest.raises(UsageError, match="the metrics auc, loss are not finite"):
        ads.SavedModelBuilder(tmp_path, metrics={"auc": math.nan, "loss": math.inf, "recall": 0.5})
    with pytest.raises(UsageError, match=r"BestBy\('auc'\) is 'greatest'"):
        ads.SavedModelBuilder(tmp_path, metrics={"auc": 0.5}, metric_modes={"auc": wrong})
