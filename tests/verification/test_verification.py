"""``verify="full"``: a model that answers otherwise than its job is not published, and what was compared is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import OptionsError, SignatureError, UsageError, VerifyError
from autodist_saved.graph import meta_graph_builder
from autodist_saved.plan import ExportPlan
from autodist_saved.publish.manifest import read_manifest
from autodist_saved.publish.target import Target
from autodist_saved.publish.target_factory import target_at
from autodist_saved.sources.session_source import SessionSource
from autodist_saved.sources.source import Staged
from autodist_saved.verification.live_session import LiveSession
from autodist_saved.verification.question import Question

FULL = ads.ExportOptions(verify="full")
predict = v1.saved_model.predict_signature_def


class Trained:
    """A graph with a variable in three pieces, and a session of it."""

    def __init__(self) -> None:
        self.ids = v1.placeholder(tf.int32, [None], "ids")
        self.rows = v1.get_variable(
            "rows", [10, 2], partitioner=v1.fixed_size_partitioner(3), initializer=v1.random_normal_initializer()
        )
        self.found = tf.nn.embedding_lookup(self.rows, self.ids)
        self.step = [piece.assign_add(tf.ones_like(piece)) for piece in self.rows]
        self.signatures = {"serving_default": predict({"ids": self.ids}, {"found": self.found})}
        self.examples = {"serving_default": [{"ids": np.int32([0, 9])}, {"ids": [4]}]}

    def export(
        self,
        place: Path | Target,
        **arguments: Any,
    ) -> ads.ExportReport:
        saver = ads.Saver()
        given = {"signature_def_map": self.signatures, "examples": self.examples, **arguments}
        with v1.Session() as session:
            session.run(
                [v1.global_variables_initializer(), v1.local_variables_initializer(), v1.tables_initializer()]
            )
            builder = ads.SavedModelBuilder(place, options=FULL)
            builder.add_meta_graph_and_variables(session, ["serve"], saver=saver, **given)
            builder.save()
        return builder.report


@pytest.fixture
def trained(graph: tf.Graph) -> Trained:
    return Trained()


@pytest.mark.parametrize("serving", [False, True])
def test_a_model_that_answers_as_its_job_is_published_and_its_manifest_says_so(
    trained: Trained, tmp_path: Path, serving: bool
) -> None:
    report = trained.export(tmp_path / "1", serving=serving)
    assert report.answers == {"serve: serving_default": "equal for examples"}
    manifest = read_manifest(tmp_path / "1")
    assert manifest.answers == report.answers
    assert ("answers of serve: serving_default", "equal for examples") in manifest.facts()
    assert list(report.seconds)[:3] == ["plan", "describe", "ask"]


def test_a_graph_that_was_folded_wrongly_is_not_published(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every checksum is right, and the rows that are looked up are others."""
    described = meta_graph_builder.describe

    def one_row_off(*arguments: Any) -> Any:
        meta_graph = described(*arguments)
        (gather,) = [node for node in meta_graph.proto.graph_def.node if node.op == "ResourceGather"]
        meta_graph.proto.graph_def.node.add(name="off", op="OnesLike", input=[gather.input[1]]).attr["T"].CopyFrom(
            gather.attr["Tindices"]
        )
        meta_graph.proto.graph_def.node.add(name="by_one", op="BitwiseXor", input=[gather.input[1], "off"]).attr[
            "T"
        ].CopyFrom(gather.attr["Tindices"])
        gather.input[1] = "by_one"
        return meta_graph

    monkeypatch.setattr(meta_graph_builder, "describe", one_row_off)
    with pytest.raises(VerifyError) as caught:
        trained.export(tmp_path / "1", serving=True)
    assert caught.value.phase == "verify"
    assert [problem.place for problem in caught.value.problems] == [
        f"signature 'serving_default', example {number}, output 'found'" for number in (0, 1)
    ]
    assert "the job answered" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_values_of_another_moment_are_not_published(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = SessionSource.stage

    def as_if_nobody_was_stopped(self: SessionSource, plan: ExportPlan) -> Staged:
        staged = stage(self, plan)
        self._session.run(trained.step)
        return staged

    monkeypatch.setattr(SessionSource, "stage", as_if_nobody_was_stopped)
    with pytest.raises(VerifyError, match=r"made-up inputs \(ids int32 \(1,\)\), output 'found': the job answered"):
        trained.export(tmp_path / "1", examples=None)
    assert list(tmp_path.iterdir()) == []


def test_examples_that_do_not_fit_are_told_with_all_else_before_anything_is_written(
    trained: Trained, tmp_path: Path
) -> None:
    wrong = {
        "serving_default": [{"ids": [0.5]}, {"id": [1]}, {"ids": np.int64([1])}],
        "other": [],
    }
    with pytest.raises(SignatureError) as caught:
        trained.export(tmp_path / "1", examples=wrong)
    assert [problem.place for problem in caught.value.problems] == [
        "examples['serving_default'][0]['ids']",
        "examples['serving_default'][1]['ids']",
        "examples['serving_default'][1]['id']",
        "examples['serving_default'][2]['ids']",
        "examples['other']",
    ]
    assert list(tmp_path.iterdir()) == []


def test_examples_that_the_job_cannot_answer_are_refused_before_anything_is_written(
    trained: Trained, tmp_path: Path
) -> None:
    examples = {"serving_default": [{"ids": [3]}, {"ids": [10]}, {"ids": [-1]}]}
    with pytest.raises(SignatureError) as caught:
        trained.export(tmp_path / "1", examples=examples)
    assert [problem.place for problem in caught.value.problems] == [
        f"examples['serving_default'][{number}]" for number in (1, 2)
    ]
    assert "InvalidArgumentError" in caught.value.problems[0].what
    assert caught.value.problems[0].fix == "give an example with the values of a real request"
    assert list(tmp_path.iterdir()) == []


def test_a_signature_that_takes_longer_than_training_may_stand_still_is_told_with_the_cure(graph: tf.Graph) -> None:
    x = v1.placeholder(tf.float32, [], "x")
    waits = v1.FIFOQueue(1, [tf.float32], [[]]).dequeue()
    signatures = {"endless": predict({"x": x}, {"y": x + waits})}
    question = Question("endless", None, {"x": tf.make_tensor_proto(1.0)})
    with v1.Session() as session, pytest.raises(VerifyError) as caught:
        LiveSession(session, signatures, 0.05).answer(question)
    (problem,) = caught.value.problems
    assert "did not answer signature 'endless', made-up inputs (x float32 ()) within 0.05 s" in problem.what
    assert problem.fix == "raise ExportOptions.cut_timeout_secs, or use smaller examples"


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of signatures of all kinds, none of which has examples."""
    base = tmp_path_factory.mktemp("base")
    words = base / "words.txt"
    words.write_text("late\nearly\n")
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 2], "x")
        word = v1.placeholder(tf.string, [], "word")
        sparse = v1.sparse_placeholder(tf.float32, [4, 4], "sparse")
        w = v1.get_variable("w", [2, 3], initializer=v1.random_normal_initializer())
        flag = v1.get_variable("flag", initializer=True, collections=[v1.GraphKeys.LOCAL_VARIABLES])
        file_name = tf.constant(str(words))
        lines = tf.lookup.TextFileInitializer(
            file_name, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        )
        y = x @ w
        whole = v1.placeholder_with_default(tf.constant(2.0), [], "factor")
        defaulted = predict({"x": x, "factor": whole}, {"y": y * whole})
        defaulted.defaults["factor"].CopyFrom(tf.make_tensor_proto(3.0))
        batches = v1.data.make_initializable_iterator(tf.data.Dataset.range(3))
        batch = batches.get_next()
        signatures = {
            "batches": predict({"x": x}, {"y": y * tf.cast(batch, tf.float32)}),
            "whole": predict(
                {"x": x}, {"y": y, "diagonal": tf.sparse.from_dense(y), "words": tf.constant(["a", ""])}
            ),
            "default": defaulted,
            "table": predict({"word": word}, {"line": tf.lookup.StaticHashTable(lines, 7).lookup(word)}),
            "loop": predict(
                {"x": x}, {"y": tf.while_loop(lambda i, _: i < 3, lambda i, z: (i + 1, z + y), [0, y])[1]}
            ),
            "random": predict({"x": x}, {"y": tf.nn.dropout(y, 0.5)}),
            "assigns": predict({"x": x}, {"y": w.assign_add(tf.ones([2, 3])).read_value()}),
            "flagged": predict({"x": x}, {"y": tf.cond(flag, lambda: y, lambda: -y)}),
            "checked": predict({"x": x}, {"y": tf.ensure_shape(x, [3, 2]) @ w}),
            "sparse": predict({"sparse": sparse}, {"y": tf.sparse.reduce_sum(sparse)}),
        }
        saver = ads.Saver()
        main_op = tf.group(flag.assign(False), v1.tables_initializer())
        with v1.Session() as session:
            session.run(
                [v1.global_variables_initializer(), v1.local_variables_initializer(), v1.tables_initializer()]
            )
            session.run(batches.initializer)
            builder = ads.SavedModelBuilder(base / "1", options=ads.ExportOptions(verify="full"))
            builder.add_meta_graph_and_variables(
                session, ["serve"], signatures, saver=saver, main_op=main_op, assets_collection=[file_name]
            )
            builder.add_meta_graph(["later"], {"whole": signatures["whole"]}, assets_collection=[file_name])
            graph.finalize()
            words.unlink()
            builder.save()
            assert session.run(batch) == 0, "the training gets all of its data"
    return builder.report.answers


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("whole", "equal for made-up inputs (x float32 (1, 2))"),
        ("default", "equal for made-up inputs (factor float32 (), x float32 (1, 2))"),
        ("table", "equal for made-up inputs (word string ())"),
        ("loop", "equal for made-up inputs (x float32 (1, 2))"),
        ("random", "not compared: its answers depend on more than inputs and variables: on 'dropout/"),
        ("assigns", "not compared: the job cannot be called, because the call would change variables"),
        ("flagged", "not compared: the main op gives a value to 'flag', which it reads"),
        ("checked", "not checked: the job cannot answer signature 'checked', made-up inputs"),
        ("checked", "; give examples"),
        ("batches", "not checked: it cannot answer made-up inputs (x float32 (1, 2)): FailedPreconditionError"),
        ("sparse", "not checked: inputs can only be made up for dense tensors"),
    ],
)
def test_each_signature_is_compared_or_it_is_said_why_not(answers: dict[str, str], signature: str, said: str) -> None:
    assert said in answers[f"serve: {signature}"]


def test_a_graph_that_was_added_later_is_called_and_not_compared(answers: dict[str, str]) -> None:
    said = answers["later: whole"]
    assert said.startswith("called with made-up inputs")
    assert "when training had continued" in said


def test_what_full_verification_cannot_do_is_refused_before(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="consistency='none' does not capture one"):
        ads.ExportOptions(verify="full", consistency="none")
    with pytest.raises(OptionsError, match="a plain TensorFlow, which has no custom_ops"):
        ads.ExportOptions(verify="full", custom_ops=["Horovod"])

    for target in (target_at("memory://bucket/1"), ads.VersionedTarget("memory://bucket")):
        with pytest.raises(UsageError, match=f"there is none for {target.path}; export with verify='checksums'"):
            trained.export(target)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_averages_is_called_and_not_compared(trained: Trained, tmp_path: Path) -> None:
    averages = tf.train.ExponentialMovingAverage(0.5)
    averages.apply(list(trained.rows))
    names = {"rows": "rows/ExponentialMovingAverage"}
    report = trained.export(tmp_path / "1", serving=True, moving_averages=names)
    said = "called with examples, not compared: it has moving averages, and the job answers without them"
    assert report.answers == {"serve: serving_default": said}


def test_a_graph_that_works_on_this_machine_alone_is_not_published(tmp_path: Path, graph: tf.Graph) -> None:
    """It names a file that training had, and that was not given as an asset."""
    (tmp_path / "words.txt").write_text("late\n")
    lines = tf.lookup.TextFileInitializer(
        str(tmp_path / "words.txt"),
        *(tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER),
    )
    word = v1.placeholder(tf.string, [], "word")
    line = tf.lookup.StaticHashTable(lines, 7).lookup(word)
    saver = ads.Saver(allow_empty=True)
    with v1.Session() as session:
        session.run(v1.tables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "1", options=FULL)
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"line": predict({"word": word}, {"line": line})}, saver=saver
        )
        (tmp_path / "words.txt").unlink()
        with pytest.raises(VerifyError, match="graph serve: it cannot be loaded: .*No such file") as caught:
            builder.save()
    assert str(caught.value).count("\n") == 2
    assert list(tmp_path.iterdir()) == []
