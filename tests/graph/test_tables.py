"""No table of a loaded model is empty, whatever main op the user gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.graph.meta_graph_builder import describe
from tests.support.meta_graphs import request


def table(key: str) -> tf.lookup.StaticHashTable:
    keys, values = tf.constant([key]), tf.constant([7], tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1)


def main_op_of(proto: Any) -> str:
    (name,) = proto.collection_def["saved_model_main_op"].node_list.value
    return str(name)


def test_tables_are_filled_when_a_model_without_main_op_is_loaded(graph: tf.Graph) -> None:
    tf.no_op("init_all_tables_when_loaded")
    for word in "ab":
        table(word)
    graph.finalize()
    proto = describe(request(graph)).proto
    name = main_op_of(proto)
    assert name == "init_all_tables_when_loaded_1"
    (node,) = [node for node in proto.graph_def.node if node.name == name]
    assert sorted(node.input) == sorted(f"^{op.name}" for op in graph.get_collection("table_initializer"))


def test_a_graph_without_tables_gets_no_main_op(graph: tf.Graph) -> None:
    tf.constant(1)
    assert not describe(request(graph)).proto.collection_def


@pytest.mark.parametrize("kind", ["operation", "tensor"])
def test_a_main_op_that_forgets_tables_runs_and_the_tables_are_filled(
    graph: tf.Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level("INFO", logger="autodist_saved.graph.tables")
    weight = v1.get_variable("w", initializer=1.0, use_resource=True)
    assigned = weight.assign(5.0)
    main_op = assigned.op if kind == "operation" else tf.identity(assigned, "assigned")
    tf.identity(table("late").lookup(v1.placeholder(tf.string, [None], "x")), "y")
    initializers = v1.get_collection(v1.GraphKeys.TABLE_INITIALIZERS)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, ["serve"], saver=saver, main_op=main_op)
        builder.save()
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.load(session, ["serve"], str(tmp_path / "model"))
        assert session.run("w/Read/ReadVariableOp:0") == 5.0
        assert session.run("y:0", {"x:0": [b"late"]}).tolist() == [7]
    assert f"main_op does not run {[op.name for op in initializers]}" in caplog.text


def test_a_main_op_that_fills_all_tables_is_left_as_it_is(graph: tf.Graph) -> None:
    table("a")
    main_op = tf.group(v1.tables_initializer(), name="main")
    before = len(graph.get_operations())
    proto = describe(request(graph, main_op=main_op)).proto
    assert main_op_of(proto) == "main"
    assert len(proto.graph_def.node) == before
