"""What users get wrong with the saver and the builder, and what they are told. Runs under ``python -O`` too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import (
    ExportError,
    NoVariablesError,
    SaverRequiredError,
    SaverTooLateError,
    SignatureError,
    TargetExistsError,
    UsageError,
    WrongTaskError,
)


@pytest.fixture
def session(graph: tf.Graph) -> Any:
    v1.get_variable("w", initializer=1.0)
    graph.saver = ads.Saver()
    with v1.Session(graph=graph) as session:
        session.run(v1.global_variables_initializer())
        yield session


def builder(tmp_path: Path) -> ads.SavedModelBuilder:
    return ads.SavedModelBuilder(tmp_path / "model")


def untouched(tmp_path: Path) -> None:
    if list(tmp_path.iterdir()):
        pytest.fail(f"left behind: {list(tmp_path.iterdir())}")


def test_a_missing_saver_is_refused_with_the_three_lines_to_add(tmp_path: Path, session: Any) -> None:
    with pytest.raises(SaverRequiredError) as caught:
        builder(tmp_path).add_meta_graph_and_variables(session, ["serve"])
    caught.match("no saver was given")
    caught.match(r"    saver = autodist_saved\.Saver\(\)\n")
    caught.match(r"    with autodist_saved\.create_distributed_session\(cluster, saver=saver\) as sess:\n")
    caught.match(r"        builder\.add_meta_graph_and_variables\(sess, tags, \.\.\., saver=saver\)")
    untouched(tmp_path)


def test_a_stock_saver_is_refused(tmp_path: Path, session: Any) -> None:
    with pytest.raises(SaverRequiredError, match=r"a tf.compat.v1.train.Saver is not an autodist_saved\.Saver"):
        builder(tmp_path).add_meta_graph_and_variables(session, ["serve"], saver=v1.train.Saver())


def test_code_that_catches_value_errors_catches_a_missing_saver(tmp_path: Path, session: Any) -> None:
    with pytest.raises(ValueError, match="no saver was given"):
        builder(tmp_path).add_meta_graph_and_variables(session, ["serve"])


def test_a_second_meta_graph_takes_no_saver_of_another_graph(tmp_path: Path, session: Any, graph: Any) -> None:
    one = builder(tmp_path)
    one.add_meta_graph_and_variables(session, ["serve"], saver=graph.saver)
    with tf.Graph().as_default(), pytest.raises(SignatureError, match="saver: it was made in another graph"):
        one.add_meta_graph(["train"], saver=graph.saver)
    with pytest.raises(SignatureError, match="saver: 'saver' is not a saver"):
        one.add_meta_graph(["train"], saver="saver")


def test_a_saver_made_after_the_session_says_where_to_move_the_line(graph: tf.Graph) -> None:
    v1.get_variable("w", initializer=1.0)
    with ads.create_distributed_session(ads.Cluster.single()), pytest.raises(SaverTooLateError) as caught:
        ads.Saver()
    caught.match(r"this Saver is made after the session")
    caught.match(r"    saver = autodist_saved\.Saver\(\)\n")
    caught.match(r"before create_distributed_session\(\.\.\.\), on every task")


def test_a_saver_without_variables_says_where_to_make_it(graph: tf.Graph) -> None:
    with pytest.raises(NoVariablesError, match="No variables to save: make the Saver inside"):
        ads.Saver()


def test_a_saver_that_was_never_built_is_refused(tmp_path: Path, graph: tf.Graph) -> None:
    v1.get_variable("w", initializer=1.0)
    saver = ads.Saver(defer_build=True)
    with v1.Session() as session, pytest.raises(UsageError, match=r"build\(\) was not called before the session"):
        builder(tmp_path).add_meta_graph_and_variables(session, ["serve"], saver=saver)
    untouched(tmp_path)


def test_a_saver_made_from_a_definition_cannot_export(tmp_path: Path, session: Any, graph: Any) -> None:
    copy = ads.Saver(saver_def=graph.saver.as_saver_def())
    with pytest.raises(UsageError, match=r"or from a SaverDef, .* make one with Saver\(\) instead"):
        builder(tmp_path).add_meta_graph_and_variables(session, ["serve"], saver=copy)
    untouched(tmp_path)


def test_variables_made_after_the_saver_are_told(
    tmp_path: Path, session: Any, graph: Any, caplog: pytest.LogCaptureFixture
) -> None:
    v1.get_variable("late", initializer=1.0)
    builder(tmp_path).add_meta_graph_and_variables(session, ["serve"], saver=graph.saver)
    if "the model has no values for late, made after the saver; make the saver after all" not in caplog.text:
        pytest.fail(caplog.text)


def test_an_existing_model_is_refused_by_the_constructor(tmp_path: Path, no_server_here: None) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").touch()
    with pytest.raises(TargetExistsError, match="already exists, and isn't empty. It is never overwritten"):
        builder(tmp_path)


def test_on_a_task_of_a_cluster_an_existing_model_is_left_to_the_session_to_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: Any, graph: Any
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").touch()
    monkeypatch.setattr("autodist_saved.job.tensorflow_server._running", {"localhost:1": object()})
    one = builder(tmp_path)
    with pytest.raises(TargetExistsError, match="already exists"):
        one.add_meta_graph_and_variables(session, ["serve"], saver=graph.saver)


def test_code_that_catches_tensorflows_error_catches_an_existing_model(tmp_path: Path, no_server_here: None) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").touch()
    with pytest.raises(AssertionError, match="already exists"):
        builder(tmp_path)


def test_all_that_does_not_fit_the_graph_is_told_at_once(tmp_path: Path, session: Any, graph: Any) -> None:
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, name="elsewhere")
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": x})
        stranger = tf.no_op("stranger")
    with pytest.raises(SignatureError) as caught:
        builder(tmp_path).add_meta_graph_and_variables(
            session,
            "serve",
            {"p": signature},
            main_op=stranger,
            train_op="train",
            saver=graph.saver,
        )
    caught.match(r"\(5 problems\)")
    caught.match(r"tags: 'serve' is not a list of tags")
    caught.match("main_op: 'stranger' belongs to another graph")
    caught.match("train_op: 'train' is neither an operation nor a tensor")
    caught.match(r"signature 'p', inputs\['x'\]: there is no tensor 'elsewhere:0' in the graph that is added")
    caught.match(r"signature 'p', outputs\['y'\]: there is no tensor 'elsewhere:0'")
    untouched(tmp_path)


def test_a_session_that_is_closed_is_refused(tmp_path: Path, graph: tf.Graph) -> None:
    v1.get_variable("w", initializer=1.0)
    saver = ads.Saver()
    monitored = ads.create_distributed_session(ads.Cluster.single(), saver=saver)
    monitored.close()
    plain = v1.Session()
    plain.close()
    for closed in (monitored, plain):
        with pytest.raises(UsageError, match="the session is closed; export inside its `with` block"):
            builder(tmp_path).add_meta_graph_and_variables(closed, ["serve"], saver=saver)
    untouched(tmp_path)


def test_a_saver_of_another_graph_is_refused(tmp_path: Path, session: Any) -> None:
    with tf.Graph().as_default():
        v1.get_variable("w", initializer=1.0)
        stranger = ads.Saver()
    with pytest.raises(UsageError, match="the saver was made in another graph than the one to be exported"):
        builder(tmp_path).add_meta_graph_and_variables(session, ["serve"], saver=stranger)
    untouched(tmp_path)


def test_a_failed_export_is_not_saved(tmp_path: Path, session: Any, graph: Any) -> None:
    one = builder(tmp_path)
    with pytest.raises(SignatureError):
        one.add_meta_graph_and_variables(session, "serve", saver=graph.saver)
    with pytest.raises(UsageError, match="this export has failed"):
        one.save()
    untouched(tmp_path)


def test_a_reserved_signature_is_refused_as_in_tensorflow(tmp_path: Path, session: Any, graph: Any) -> None:
    signature = v1.saved_model.build_signature_def()
    with pytest.raises(KeyError, match="reserved for the train op"):
        builder(tmp_path).add_meta_graph_and_variables(
            session, ["serve"], {"__saved_model_train_op": signature}, saver=graph.saver
        )


def test_variables_are_saved_once(tmp_path: Path, session: Any, graph: Any) -> None:
    one = builder(tmp_path)
    one.add_meta_graph_and_variables(session, ["serve"], saver=graph.saver)
    with pytest.raises(AssertionError, match="already been saved. Please invoke `add_meta_graph"):
        one.add_meta_graph_and_variables(session, ["train"], saver=graph.saver)


def test_a_second_meta_graph_comes_second(tmp_path: Path, session: Any, graph: Any) -> None:
    with pytest.raises(AssertionError, match="has not been saved yet. Please invoke `add_meta_graph_and_variables"):
        builder(tmp_path).add_meta_graph(["train"], saver=graph.saver)


def test_an_empty_builder_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing was added: call add_meta_graph_and_variables"):
        builder(tmp_path).save()
    untouched(tmp_path)


def test_a_builder_saves_once(tmp_path: Path, session: Any, graph: Any) -> None:
    one = builder(tmp_path)
    one.add_meta_graph_and_variables(session, ["serve"], saver=graph.saver)
    one.save()
    with pytest.raises(UsageError, match="this model is saved already, as .*model; make another builder"):
        one.save()


def test_there_is_no_report_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no report before add_meta_graph_and_variables"):
        _ = builder(tmp_path).report


@pytest.mark.parametrize("use_resource", [True, False])
def test_variables_without_a_value_are_named_and_nothing_is_left(
    tmp_path: Path, graph: tf.Graph, *, use_resource: bool
) -> None:
    v1.get_variable("scope/w", initializer=1.0, use_resource=use_resource)
    saver = ads.Saver()
    with (
        v1.Session() as session,
        pytest.raises(ExportError, match="a variable is not initialized.*run the init") as caught,
    ):
        builder(tmp_path).add_meta_graph_and_variables(session, ["serve"], saver=saver)
    caught.match("phase: stage")
    caught.match(r"(variable|value) scope/w\b")
    if caught.value.variable != "scope/w":
        pytest.fail(str(caught.value.variable))
    untouched(tmp_path)


def test_a_session_with_a_stock_saver_is_refused(graph: tf.Graph) -> None:
    v1.get_variable("w", initializer=1.0)
    with pytest.raises(SaverRequiredError, match="saver = autodist_saved.Saver"):
        ads.create_distributed_session(ads.Cluster.single(), saver=v1.train.Saver())


def test_a_scaffold_with_another_saver_is_refused(graph: tf.Graph) -> None:
    v1.get_variable("w", initializer=1.0)
    with pytest.raises(UsageError, match=r"make it with Scaffold\(saver=saver\)"):
        ads.create_distributed_session(
            ads.Cluster.single(), saver=ads.Saver(), scaffold=v1.train.Scaffold(saver=v1.train.Saver())
        )


@pytest.mark.parametrize(
    ("task", "advice"), [("ps:0", r"call serve\(cluster\) here"), ("evaluator:0", "evaluate checkpoints or exports")]
)
def test_a_session_belongs_to_chief_and_workers(task: str, advice: str) -> None:
    cluster = ads.Cluster.local(ps=1, workers=1).for_task(ads.Task.parse(task))
    with pytest.raises(WrongTaskError, match=advice):
        ads.create_distributed_session(cluster)


def test_a_session_needs_to_know_its_task() -> None:
    with pytest.raises(WrongTaskError, match="set `task` in the cluster file or in TF_CONFIG"):
        ads.create_distributed_session(ads.Cluster.local(ps=1, workers=1))


def test_serving_belongs_to_parameter_servers() -> None:
    with pytest.raises(WrongTaskError, match=r"worker:0; call create_distributed_session\(\) here"):
        ads.serve(ads.Cluster.local(ps=1, workers=1).for_task(ads.Task("worker", 0)))


@pytest.mark.slow
@pytest.mark.skipif(sys.flags.optimize > 0, reason="this is the run that it starts")
def test_all_of_the_above_holds_without_assertions_too() -> None:
    run = subprocess.run(
        [
            sys.executable,
            "-O",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-W",
            "ignore::pytest.PytestConfigWarning",
            __file__,
        ],
        cwd=Path(__file__).parents[2],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        pytest.fail(run.stdout[-8000:] + run.stderr[-2000:])
    if " passed" not in run.stdout:
        pytest.fail(run.stdout)
