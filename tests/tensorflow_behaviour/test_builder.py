"""Meta graphs, tags, signatures and variables, as TensorFlow's builder writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

import autodist_saved as ads
from tests.tensorflow_behaviour.models import (
    add_and_save,
    fresh_session,
    global_values,
    loaded,
    saved_model,
    variables,
)

Variable = Callable[..., Any]


def test_variables_are_saved_with_the_first_meta_graph_and_once(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with fresh_session(), pytest.raises(AssertionError, match="has not been saved yet"):
        builder.add_meta_graph(["one"])
    with variables(variable, v=42) as session:
        saver = ads.Saver()
        builder.add_meta_graph_and_variables(session, ["one"], saver=saver)
        for again in ({}, {"saver": saver}):
            with pytest.raises(AssertionError, match="has already been saved"):
                builder.add_meta_graph_and_variables(session, ["two"], **again)


def test_further_meta_graphs_of_other_graphs_need_no_saver(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with variables(variable, v=42) as session:
        builder.add_meta_graph_and_variables(session, ["train"], saver=ads.Saver())
    for value, tags in ((43, ["serve"]), (44, ["serve", "gpu"]), (45, ["a", "b"])):
        with variables(variable, v=value):
            builder.add_meta_graph(tags)
    builder.save()
    for tags in (["train"], ["serve"], ["serve", "gpu"], ["gpu", "serve"], ["a", "b", "a"]):
        with loaded(tmp_path / "model", *tags) as (session, _):
            assert global_values(session) == {"v": 42}
    for tags in (["other"], ["a"], ["a", "other"], []):
        with pytest.raises(RuntimeError, match="could not be found in SavedModel"), loaded(tmp_path / "model", *tags):
            pass


def test_the_saver_of_a_meta_graph_without_one_is_made_in_a_copy_of_it(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with variables(variable, v=42) as session:
        builder.add_meta_graph_and_variables(session, ["train"], saver=ads.Saver())
    with variables(variable, v=0):
        graph = v1.get_default_graph()
        graph.finalize()
        before = graph.as_graph_def(), {key: graph.get_collection(key) for key in graph.collections}
        builder.add_meta_graph(["serve"], strip_default_attrs=True)
        assert before == (graph.as_graph_def(), {key: graph.get_collection(key) for key in graph.collections})
    builder.save()
    with loaded(tmp_path / "model", "serve") as (session, meta_graph):
        assert global_values(session) == {"v": 42}
        assert meta_graph.saver_def.restore_op_name == "save/restore_all"


def test_partitioned_variables_of_another_graph_are_restored_whole(tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    values = tf.keras.initializers.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    with fresh_session() as session:
        v1.get_variable("t", [4, 2], initializer=values)
        session.run(v1.global_variables_initializer())
        builder.add_meta_graph_and_variables(session, ["train"], saver=ads.Saver())
    with fresh_session():
        parts = v1.get_variable("t", [4, 2], partitioner=v1.fixed_size_partitioner(2))
        tf.identity(tf.convert_to_tensor(parts), "whole")
        builder.add_meta_graph(["serve"])
    builder.save()
    with loaded(tmp_path / "model", "serve") as (session, _):
        assert session.run("whole:0").tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


def test_control_flow_of_another_graph_survives(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with variables(variable, v=3.0) as session:
        builder.add_meta_graph_and_variables(session, ["train"], saver=ads.Saver())
    with variables(variable, v=0.0):
        (only,) = v1.global_variables()
        x = v1.placeholder(tf.float32, [], "x")
        y = tf.cond(x > 0, lambda: x * only, lambda: tf.constant(-1.0))
        tf.identity(tf.while_loop(lambda i, _: i < 3, lambda i, z: (i + 1, z * 2), [0, y])[1], "y")
        builder.add_meta_graph(["serve"])
    builder.save()
    with loaded(tmp_path / "model", "serve") as (session, _):
        assert session.run("y:0", {"x:0": 1.0}) == 24.0
        assert session.run("y:0", {"x:0": -1.0}) == -8.0


def test_a_meta_graph_is_added_of_a_default_graph(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with variables(variable, v=3.0) as session:
        builder.add_meta_graph_and_variables(session, ["train"], saver=ads.Saver())
    if tf.executing_eagerly():
        with pytest.raises(ads.AutodistSavedError, match="there is no default graph"):
            builder.add_meta_graph(["serve"])


def test_tables_of_another_graph_need_a_saver(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with variables(variable, v=42) as session:
        builder.add_meta_graph_and_variables(session, ["train"], saver=ads.Saver())
    with variables(variable, v=42):
        tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
        with pytest.raises(ads.AutodistSavedError, match="the graph has tables or other saveable objects"):
            builder.add_meta_graph(["serve"])


def test_a_meta_graph_restores_the_variables_that_it_has(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with variables(variable, v1=1, v2=2) as session:
        builder.add_meta_graph_and_variables(session, ["both"], saver=ads.Saver())
    with variables(variable, v2=3):
        builder.add_meta_graph(["one"])
    with variables(variable, v3=4):
        builder.add_meta_graph(["none"])
    builder.save()
    with loaded(tmp_path / "model", "both") as (session, _):
        assert global_values(session) == {"v1": 1, "v2": 2}
    with loaded(tmp_path / "model", "one") as (session, _):
        assert global_values(session) == {"v2": 2}
    with pytest.raises(tf.errors.NotFoundError), loaded(tmp_path / "model", "none"):
        pass


def test_graphs_without_variables_load(tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with fresh_session() as session:
        tf.constant(5.0, name="five")
        builder.add_meta_graph_and_variables(session, ["first"], saver=ads.Saver(allow_empty=True))
    with fresh_session():
        tf.constant(6.0, name="six")
        builder.add_meta_graph(["second"])
    builder.save()
    for tag, name, value in (("first", "five:0", 5.0), ("second", "six:0", 6.0)):
        with loaded(tmp_path / "model", tag) as (session, meta_graph):
            assert session.run(name) == value
            assert not meta_graph.HasField("saver_def")


@pytest.mark.usefixtures("no_server_here")
def test_a_directory_that_holds_a_model_is_not_taken(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with variables(variable, v=42) as session:
        builder.add_meta_graph_and_variables(session, ["serve"], saver=ads.Saver())
    assert builder.save(as_text=True) == str(tmp_path / "model" / "saved_model.pbtxt").encode()
    with loaded(tmp_path / "model", "serve") as (session, _):
        assert global_values(session) == {"v": 42}
    with pytest.raises(AssertionError, match="already exists, and isn't empty"):
        ads.SavedModelBuilder(str(tmp_path / "model"))


def test_each_meta_graph_has_its_own_collections(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    for value, tag in ((42, "first"), (43, "second")):
        with fresh_session() as session:
            v1.add_to_collection(f"of_{tag}", variable(value, name="v"))
            session.run(v1.global_variables_initializer())
            if tag == "first":
                builder.add_meta_graph_and_variables(session, [tag], saver=ads.Saver())
            else:
                builder.add_meta_graph([tag])
    builder.save()
    for here, there in (("first", "second"), ("second", "first")):
        with loaded(tmp_path / "model", here) as (session, _):
            assert [element.name for element in v1.get_collection(f"of_{here}")] == ["v:0"]
            assert global_values(session) == {"v": 42}
            assert not v1.get_collection(f"of_{there}")


def _signature(name: str) -> Any:
    return v1.saved_model.build_signature_def({}, {}, name)


def test_each_meta_graph_has_its_own_signatures(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with variables(variable, v=42) as session:
        builder.add_meta_graph_and_variables(session, ["one"], {"key": _signature("first")}, saver=ads.Saver())
    with variables(variable, v=43):
        builder.add_meta_graph(["two"], {"key": _signature("second"), "other": _signature("third")})
    builder.save()
    expected = {"one": {"key": "first"}, "two": {"key": "second", "other": "third"}}
    for tag, names in expected.items():
        with loaded(tmp_path / "model", tag) as (_, meta_graph):
            assert {key: one.method_name for key, one in meta_graph.signature_def.items()} == names


@pytest.mark.parametrize("side", ["inputs", "outputs"])
@pytest.mark.parametrize(
    "info",
    [
        meta_graph_pb2.TensorInfo(),
        meta_graph_pb2.TensorInfo(name="v:0"),
        meta_graph_pb2.TensorInfo(dtype=types_pb2.DT_FLOAT),
    ],
    ids=["empty", "without dtype", "without encoding"],
)
def test_tensors_in_signatures_have_a_name_and_a_type(side: str, info: Any, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    signature = v1.saved_model.build_signature_def(**{side: {"x": info}})
    with variables(v1.Variable, v=42) as session:
        for saver in ({}, {"saver": ads.Saver()}):
            with pytest.raises(AssertionError, match="TensorInfo protos used in the SignatureDefs"):
                builder.add_meta_graph_and_variables(session, ["serve"], {"key": signature}, **saver)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_tensors_in_signatures_may_be_dense_or_sparse(kind: str, tmp_path: Path) -> None:
    with variables(v1.Variable, v=42.0) as session:
        x = v1.placeholder(tf.float32, [None], "x") if kind == "dense" else v1.sparse_placeholder(tf.float32)
        y = tf.reduce_sum(x) if kind == "dense" else v1.sparse_reduce_sum(x)
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        add_and_save(tmp_path / "model", session, ["serve"], signature_def_map={"key": signature})
    with loaded(tmp_path / "model", "serve") as (_, meta_graph):
        assert meta_graph.signature_def["key"] == signature


@pytest.mark.parametrize("key", ["__saved_model_init_op", "__saved_model_train_op"])
def test_reserved_signatures_cannot_be_given(key: str, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with variables(v1.Variable, v=42) as session:
        saver = ads.Saver()
        with pytest.raises(KeyError, match=f"{key}.* is reserved"):
            builder.add_meta_graph_and_variables(session, ["serve"], {key: _signature("mine")}, saver=saver)
        builder.add_meta_graph_and_variables(session, ["serve"], saver=saver)
        with pytest.raises(KeyError, match=f"{key}.* is reserved"):
            builder.add_meta_graph(["other"], {key: _signature("mine")})


def test_a_model_has_the_savers_that_were_given(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with variables(variable, v=42) as session:
        builder.add_meta_graph_and_variables(session, ["0"], saver=ads.Saver(name="mine"))
        builder.add_meta_graph(["1"])
        builder.add_meta_graph(["2"], saver=ads.Saver())
        builder.add_meta_graph(["3"], saver=v1.train.Saver())
    builder.save()
    for tag, name in (("0", "mine"), ("1", "mine"), ("2", "save"), ("3", "save_1")):
        with loaded(tmp_path / "model", tag) as (session, meta_graph):
            assert meta_graph.saver_def.restore_op_name == f"{name}/restore_all"
            assert global_values(session) == {"v": 42}
    with loaded(tmp_path / "model", "0"):
        assert not [op.name for op in v1.get_default_graph().get_operations() if op.name.startswith("save/")]


@pytest.mark.parametrize("sharded", [True, False])
def test_the_savers_list_says_what_is_saved_and_by_which_names(
    variable: Variable, tmp_path: Path, sharded: bool
) -> None:
    with fresh_session() as session:
        first = variable(1, name="first", collections=["hidden"])
        second = variable(2, name="second", collections=["hidden"])
        tf.identity(first, "one"), tf.identity(second, "two")
        session.run(v1.variables_initializer([first, second]))
        saver = ads.Saver({"renamed": first, "second": second}, sharded=sharded)
        add_and_save(tmp_path / "model", session, ["serve"], saver=saver)
    names = [name for name, _ in tf.train.list_variables(str(tmp_path / "model" / "variables" / "variables"))]
    assert names == ["renamed", "second"]
    with loaded(tmp_path / "model", "serve") as (session, _):
        assert session.run(["one:0", "two:0"]) == [1, 2]


def test_a_saveable_object_is_saved(tmp_path: Path) -> None:
    with fresh_session() as session:
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1, name="table")
        session.run(table.insert(tf.constant(["late"]), tf.constant([7], tf.int64)))
        tf.identity(table.lookup(tf.constant(["late", "x"])), "found")
        add_and_save(tmp_path / "model", session, ["serve"])
    with loaded(tmp_path / "model", "serve") as (session, _):
        assert session.run("found:0").tolist() == [7, -1]


def test_devices_are_cleared_on_request(variable: Variable, tmp_path: Path) -> None:
    for clear in (True, False):
        with fresh_session() as session:
            with tf.device("/cpu:0"):
                variable(42, name="v")
            session.run(v1.global_variables_initializer())
            add_and_save(tmp_path / str(clear), session, ["serve"], clear_devices=clear)
        (meta_graph,) = saved_model(tmp_path / str(clear)).meta_graphs
        assert {node.device for node in meta_graph.graph_def.node if node.name == "v"} == (
            {""} if clear else {"/device:CPU:0"}
        )
        with loaded(tmp_path / str(clear), "serve") as (session, _):
            assert global_values(session) == {"v": 42}


def test_default_attributes_are_stripped_on_request_and_come_back(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    for tag, strip in (("stripped", True), ("whole", False), ("stripped later", True)):
        with variables(variable, real=1.0, imaginary=2.0) as session:
            tf.complex(*v1.global_variables(), name="complex")
            if tag == "stripped":
                saver = ads.Saver()
                builder.add_meta_graph_and_variables(session, [tag], strip_default_attrs=strip, saver=saver)
            else:
                builder.add_meta_graph([tag], strip_default_attrs=strip)
    builder.save()
    for meta_graph in saved_model(tmp_path / "model").meta_graphs:
        (tag,) = meta_graph.meta_info_def.tags
        (node,) = [node for node in meta_graph.graph_def.node if node.name == "complex"]
        assert {"T", "Tout"}.isdisjoint(node.attr) if "stripped" in tag else {"T", "Tout"} <= {*node.attr}
        with loaded(tmp_path / "model", tag) as (session, _):
            assert session.run("complex:0") == 1 + 2j
            assert {"T", "Tout"} <= {*v1.get_default_graph().get_operation_by_name("complex").node_def.attr}


def test_a_model_says_which_schema_and_which_tensorflow_it_is_of(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=42) as session:
        add_and_save(tmp_path / "model", session, ["serve"])
    model: saved_model_pb2.SavedModel = saved_model(tmp_path / "model")
    assert model.saved_model_schema_version == v1.saved_model.constants.SAVED_MODEL_SCHEMA_VERSION
    (meta_graph,) = model.meta_graphs
    assert meta_graph.meta_info_def.tensorflow_version == tf.__version__
    assert meta_graph.meta_info_def.stripped_op_list.op
