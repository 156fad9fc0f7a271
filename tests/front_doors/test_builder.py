"""What the builder writes in one process, compared with what TensorFlow's loaders make of it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import UsageError
from autodist_saved.job.gated_session import GatedSession
from autodist_saved.job.job import Job

TAGS = ["serve"]


def load(path: Path, session: Any, tags: list[str] = TAGS) -> Any:
    return v1.saved_model.loader.load(session, tags, str(path))


def test_arguments_keep_autodists_order() -> None:
    parameters = inspect.signature(ads.SavedModelBuilder.add_meta_graph_and_variables).parameters.values()
    positional = [one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert positional[1:] == [
        "sess",
        "tags",
        "signature_def_map",
        "assets_collection",
        "legacy_init_op",
        "clear_devices",
        "main_op",
        "strip_default_attrs",
        "saver",
        "train_op",
    ]
    assert issubclass(ads.SavedModelBuilder, v1.saved_model.Builder)


@pytest.mark.parametrize("kind", ["operation", "tensor", "assign"])
def test_the_train_op_is_where_loaders_look_for_it(graph: tf.Graph, tmp_path: Path, kind: str) -> None:
    weight = v1.get_variable("w", initializer=1.0, use_resource=True)
    added = weight.assign_add(1.0)
    train = {"operation": added.op, "tensor": tf.identity(added, "read"), "assign": added}[kind]
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, TAGS, saver=saver, train_op=train)
        builder.save()
    with tf.Graph().as_default(), v1.Session() as session:
        meta_graph = load(tmp_path / "model", session)
        (name,) = meta_graph.collection_def["saved_model_train_op"].node_list.value
        info = meta_graph.signature_def["__saved_model_train_op"].outputs["__saved_model_train_op"]
        assert info.name == name
        session.run(name)
        assert session.run("w/Read/ReadVariableOp:0") == 2.0


def test_main_op_and_assets_make_a_table_work_after_loading(graph: tf.Graph, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("late\nearly\n")
    file_name = tf.constant(str(words))
    v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, file_name)
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            file_name, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        ),
        -1,
    )
    x = v1.placeholder(tf.string, [None], "x")
    y = tf.identity(table.lookup(x), "y")
    v1.get_variable("w", initializer=1.0)
    main_op = v1.tables_initializer()
    saver = ads.Saver()
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), main_op])
        graph.finalize()
        for version in "12":
            builder = ads.SavedModelBuilder(tmp_path / version)
            builder.add_meta_graph_and_variables(
                session,
                TAGS,
                {"p": v1.saved_model.predict_signature_def({"x": x}, {"y": y})},
                assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
                main_op=main_op,
                saver=saver,
            )
            builder.save()
        assert not graph.get_collection(v1.saved_model.constants.MAIN_OP_KEY), "the live graph stays as it was"
    words.unlink()
    for version in "12":
        with tf.Graph().as_default(), v1.Session() as session:
            load(tmp_path / version, session)
            assert session.run("y:0", {"x:0": [b"early", b"x"]}).tolist() == [1, -1]


def test_a_table_works_after_loading_without_a_main_op_too(graph: tf.Graph, tmp_path: Path) -> None:
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(["late"]), tf.constant([7], tf.int64)), -1
    )
    tf.identity(table.lookup(v1.placeholder(tf.string, [None], "x")), "y")
    v1.get_variable("w", initializer=1.0)
    saver = ads.Saver()
    with ads.create_distributed_session(ads.Cluster.single(), saver=saver) as session:
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, TAGS, saver=saver)
        builder.save()
    with tf.Graph().as_default(), v1.Session() as session:
        load(tmp_path / "model", session)
        assert session.run("y:0", {"x:0": [b"late", b"x"]}).tolist() == [7, -1]


def test_legacy_init_op_is_another_name_of_main_op(graph: tf.Graph, tmp_path: Path) -> None:
    weight = v1.get_variable("w", initializer=1.0, use_resource=True)
    init = weight.assign(5.0)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, TAGS, legacy_init_op=init.op, saver=saver)
        builder.save()
    with tf.Graph().as_default(), v1.Session() as session:
        load(tmp_path / "model", session)
        assert session.run("w/Read/ReadVariableOp:0") == 5.0


def test_two_meta_graphs_share_the_variables(graph: tf.Graph, tmp_path: Path) -> None:
    weight = v1.get_variable("w", initializer=3.0)
    tf.identity(weight, "y")
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, ["train"], saver=saver)
        builder.add_meta_graph(["serve", "cpu"], saver=saver)
        builder.save()
    for tags in (["train"], ["serve", "cpu"]):
        with tf.Graph().as_default(), v1.Session() as session:
            load(tmp_path / "model", session, tags)
            assert session.run("y:0") == 3.0


def test_a_model_can_be_written_as_text(graph: tf.Graph, tmp_path: Path) -> None:
    v1.get_variable("w", initializer=3.0)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, TAGS, saver=saver)
        assert builder.save(as_text=True) == str(tmp_path / "model" / "saved_model.pbtxt").encode()
    with tf.Graph().as_default(), v1.Session() as session:
        load(tmp_path / "model", session)


def test_devices_are_cleared_in_functions_too_unless_they_are_wanted(graph: tf.Graph, tmp_path: Path) -> None:
    @tf.function
    def double(value: tf.Tensor) -> tf.Tensor:
        with tf.device("/job:worker/task:1"):
            return value * 2.0

    with tf.device("/job:localhost/task:0"):
        weight = v1.get_variable("w", initializer=3.0)
        twice = double(weight)
    with v1.control_dependencies([twice]):
        tf.identity(weight, "y")
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for name, clear in (("cleared", True), ("kept", False)):
            builder = ads.SavedModelBuilder(tmp_path / name)
            builder.add_meta_graph_and_variables(session, TAGS, saver=saver, clear_devices=clear)
            builder.save()
    assert b"/job:" not in (tmp_path / "cleared" / "saved_model.pb").read_bytes()
    kept = (tmp_path / "kept" / "saved_model.pb").read_bytes()
    assert b"/job:worker/task:1" in kept
    assert b"/job:localhost" in kept


def test_a_variable_of_the_users_with_our_name_is_kept(graph: tf.Graph, tmp_path: Path) -> None:
    with v1.variable_scope("autodist_saved"):
        weight = v1.get_variable("w", initializer=3.0)
    tf.identity(weight, "y")
    saver = ads.Saver()
    with v1.variable_scope("autodist_saved"):
        v1.get_variable("later", initializer=4.0)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, TAGS, saver=saver)
        builder.save()
    with tf.Graph().as_default() as loaded, v1.Session() as session:
        load(tmp_path / "model", session)
        assert session.run("y:0") == 3.0
        assert loaded.get_operation_by_name("autodist_saved/later")
        assert not [op.name for op in loaded.get_operations() if "copy_" in op.name]


def test_a_model_without_variables_loads(graph: tf.Graph, tmp_path: Path) -> None:
    x = v1.placeholder(tf.float32, [], "x")
    signature = v1.saved_model.predict_signature_def({"x": x}, {"y": x + 1.0})
    saver = ads.Saver(allow_empty=True)
    with v1.Session() as session:
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, TAGS, {"p": signature}, saver=saver)
        builder.save()
    with tf.Graph().as_default(), v1.Session() as session:
        meta_graph = load(tmp_path / "model", session)
        assert session.run(meta_graph.signature_def["p"].outputs["y"].name, {"x:0": 1.0}) == 2.0


def test_a_hundred_exports_leave_the_graph_as_it_was(graph: tf.Graph, tmp_path: Path) -> None:
    weight = v1.get_variable("w", [3], initializer=v1.zeros_initializer())
    train = weight.assign_add([1.0, 2.0, 3.0])
    init = tf.no_op("init_op")
    saver = ads.Saver()
    with ads.create_distributed_session(ads.Cluster.single(), saver=saver) as session:
        before = (len(graph.get_operations()), {key: len(graph.get_collection(key)) for key in graph.collections})
        for version in range(100):
            session.run(train)
            builder = ads.SavedModelBuilder(tmp_path / str(version))
            builder.add_meta_graph_and_variables(session, TAGS, main_op=init, saver=saver, train_op=train)
            builder.save()
        after = (len(graph.get_operations()), {key: len(graph.get_collection(key)) for key in graph.collections})
    assert before == after
    saved = [
        tf.train.load_checkpoint(str(tmp_path / str(version) / "variables" / "variables")).get_tensor("w")[0]
        for version in range(100)
    ]
    np.testing.assert_array_equal(saved, np.arange(1.0, 101.0))


def test_a_task_that_is_not_the_chief_does_nothing_whatever_tells_it_so(
    graph: tf.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = ads.Cluster.local(ps=1, workers=1, chief=True)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "already").touch()
    v1.get_variable("w", initializer=1.0)
    saver = ads.Saver()
    with v1.Session() as session:
        told = ads.SavedModelBuilder(tmp_path / "model", cluster=cluster.for_task(ads.Task("worker", 0)))
        monkeypatch.setenv("TF_CONFIG", cluster.tf_config(ads.Task("worker", 0)))
        found = ads.SavedModelBuilder(tmp_path / "model")
        for builder in (told, found):
            assert builder.add_meta_graph_and_variables(session, TAGS, saver=saver) is None
            assert builder.add_meta_graph(["train"], saver=saver) is None
            assert builder.save() is None
            assert builder.report.note == "chief:0 is the chief and exports; worker:0 does nothing"
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["already"]


def test_a_task_that_is_not_the_chief_does_nothing_with_the_session_inside_its_session(
    graph: tf.Graph, tmp_path: Path
) -> None:
    v1.get_variable("w", initializer=1.0)
    saver = ads.Saver()
    worker = ads.Cluster.local(ps=1, workers=1, chief=True).for_task(ads.Task("worker", 0))
    with v1.Session() as session:
        inside = GatedSession.adopt(session, Job(worker, ads.SessionOptions()))
        builder = ads.SavedModelBuilder(tmp_path / "model", options=ads.ExportOptions(consistency="none"))
        assert builder.add_meta_graph_and_variables(inside, TAGS, saver=saver) is None
        assert builder.save() is None
    assert builder.report.note == "chief:0 is the chief and exports; worker:0 does nothing"
    assert not list(tmp_path.iterdir())


def test_one_target_takes_a_version_from_each_builder(graph: tf.Graph, tmp_path: Path) -> None:
    weight = v1.get_variable("w", initializer=0.0, use_resource=True)
    saver = ads.Saver()
    target = ads.VersionedTarget(tmp_path / "base", retention=ads.Retention(keep=2))
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for version in (1, 2, 3):
            session.run(weight.assign_add(1.0))
            builder = ads.SavedModelBuilder(target)
            builder.add_meta_graph_and_variables(session, TAGS, saver=saver)
            assert builder.save() == bytes(tmp_path / "base" / str(version) / "saved_model.pb")
            assert builder.report.path == str(tmp_path / "base" / str(version))
    for place, value in (("2", 2.0), ("3", 3.0), ("latest", 3.0)):
        with tf.Graph().as_default(), v1.Session() as session:
            load(tmp_path / "base" / place, session)
            assert session.run("w/Read/ReadVariableOp:0") == value


def test_a_builder_that_is_refused_leaves_the_one_whose_turn_it_is_alone(graph: tf.Graph, tmp_path: Path) -> None:
    v1.get_variable("w", initializer=2.0, use_resource=True)
    saver = ads.Saver()
    target = ads.VersionedTarget(tmp_path / "base")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        first, second = ads.SavedModelBuilder(target), ads.SavedModelBuilder(target)
        second.abandon()
        first.add_meta_graph_and_variables(session, TAGS, saver=saver)
        with pytest.raises(UsageError, match="another export to .* is under way"):
            second.add_meta_graph_and_variables(session, TAGS, saver=saver)
        second.abandon()
        first.save()
        first.abandon()
    with tf.Graph().as_default(), v1.Session() as session:
        load(tmp_path / "base" / "1", session)
        assert session.run("w/Read/ReadVariableOp:0") == 2.0


def test_a_model_that_is_given_up_leaves_nothing(graph: tf.Graph, tmp_path: Path) -> None:
    v1.get_variable("w", initializer=2.0, use_resource=True)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, TAGS, saver=saver)
        builder.abandon()
        builder.abandon()
        assert not list(tmp_path.iterdir())
        with pytest.raises(UsageError, match="make another builder"):
            builder.save()
