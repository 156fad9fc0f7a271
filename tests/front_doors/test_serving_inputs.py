"""A serving graph begins at the inputs of its signatures, wherever these are in the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.support.served import TAGS, ask, export, ops, signatures, variables


def embedded() -> tuple[tf.Tensor, ...]:
    """A model that reads its own input: numbers and labels, rows of a table, dropout, and the result."""
    data = tf.data.Dataset.range(9).map(lambda number: (tf.reshape(number, [1]), tf.reshape(number, [1]) + 1))
    numbers, labels = v1.data.make_one_shot_iterator(data).get_next()
    table = v1.get_variable("table", [9, 3], initializer=v1.ones_initializer())
    hidden = tf.nn.dropout(tf.nn.embedding_lookup(table, numbers), rate=0.5)
    y = tf.matmul(hidden, v1.get_variable("w", [3, 1], initializer=v1.ones_initializer()), name="y")
    return numbers, labels, hidden, y


def exported(path: Path, signature_map: Any, **arguments: Any) -> None:
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        export(session, path, saver, signature_map, **arguments)


def test_what_is_behind_an_input_is_left_out(graph: tf.Graph, tmp_path: Path) -> None:
    _, _, hidden, y = embedded()
    exported(tmp_path / "model", signatures({"x": hidden}, {"y": y}))
    answers, meta_graph = ask(tmp_path / "model", {"x": [[1.0, 2.0, 3.0]]})
    assert answers["y"].tolist() == [[6.0]]
    assert list(variables(tmp_path / "model")) == ["w"]
    assert not {"OneShotIterator", "IteratorGetNext", "RandomUniform", "ResourceGather"} & set(ops(meta_graph))
    info = meta_graph.signature_def["serving_default"].inputs["x"]
    assert info.name == hidden.name
    (placeholder,) = [node for node in meta_graph.graph_def.node if node.op == "Placeholder"]
    assert placeholder.attr["shape"].shape == hidden.shape.as_proto()


def test_tensorflow_2_loads_it(graph: tf.Graph, tmp_path: Path) -> None:
    _, _, hidden, y = embedded()
    exported(tmp_path / "model", signatures({"x": hidden}, {"y": y}))
    with tf.Graph().as_default(), v1.Session() as session:
        loaded = tf.saved_model.load(str(tmp_path / "model"), TAGS)
        y = loaded.signatures["serving_default"](x=tf.constant([[1.0, 2.0, 3.0]]))["y"]
        session.run(v1.global_variables_initializer())
        assert session.run(y).shape == (1, 1)


def test_one_of_several_outputs_is_fed_while_another_is_computed(graph: tf.Graph, tmp_path: Path) -> None:
    numbers, labels, _, _ = embedded()
    exported(tmp_path / "model", signatures({"x": numbers}, {"sum": numbers * 10 + labels}))
    answers, meta_graph = ask(tmp_path / "model", {"x": [4]})
    assert answers["sum"].tolist() == [41]
    assert "IteratorGetNext" in ops(meta_graph)
    assert meta_graph.signature_def["serving_default"].inputs["x"].name == "IteratorGetNext/fed:0"


def test_several_outputs_are_fed(graph: tf.Graph, tmp_path: Path) -> None:
    numbers, labels, _, _ = embedded()
    exported(tmp_path / "model", signatures({"x": numbers, "n": labels}, {"sum": numbers * 10 + labels}))
    answers, meta_graph = ask(tmp_path / "model", {"x": [4], "n": [2]})
    assert answers["sum"].tolist() == [42]
    assert "IteratorGetNext" not in ops(meta_graph)
    inputs = meta_graph.signature_def["serving_default"].inputs
    assert {key: info.name for key, info in inputs.items()} == {"x": numbers.name, "n": "IteratorGetNext/fed_1:0"}


def test_an_input_that_another_signature_computes_stays(graph: tf.Graph, tmp_path: Path) -> None:
    x = v1.placeholder(tf.float32, [None, 3], "x")
    hidden = tf.nn.relu(x, name="hidden")
    y = tf.matmul(hidden, v1.get_variable("w", [3, 1], initializer=v1.ones_initializer()), name="y")
    whole, half = signatures({"x": x}, {"y": y}), signatures({"hidden": hidden}, {"y": y})
    exported(tmp_path / "model", {**whole, "half": half["serving_default"]})
    answers, meta_graph = ask(tmp_path / "model", {"x": [[1.0, -2.0, 3.0]]})
    assert answers["y"].tolist() == [[4.0]]
    assert "Relu" in ops(meta_graph)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.loader.load(session, TAGS, str(tmp_path / "model"))
        assert session.run("y:0", {meta_graph.signature_def["half"].inputs["hidden"].name: [[1.0, -2.0, 3.0]]}) == 2.0


def test_an_input_that_the_main_op_computes_stays(graph: tf.Graph, tmp_path: Path) -> None:
    state = v1.get_variable("state", [], collections=[v1.GraphKeys.LOCAL_VARIABLES], use_resource=True)
    number = tf.negative(tf.constant(-3.0), name="number")
    y = number + state
    v1.get_variable("w", [])
    exported(tmp_path / "model", signatures({"x": number}, {"y": y}), main_op=state.assign(number).op)
    assert ask(tmp_path / "model", {"x": 1.0})[0]["y"] == 4.0


def test_what_waits_for_an_input_waits_for_what_is_fed(graph: tf.Graph, tmp_path: Path) -> None:
    hidden = tf.negative(tf.random.uniform([2]), name="hidden")
    w = v1.get_variable("w", initializer=2.0, use_resource=True)
    with tf.control_dependencies([hidden]):
        y = hidden * w
    exported(tmp_path / "model", signatures({"x": hidden}, {"y": y}))
    answers, meta_graph = ask(tmp_path / "model", {"x": [1.0, 2.0]})
    np.testing.assert_array_equal(answers["y"], [2.0, 4.0])
    assert "RandomUniform" not in ops(meta_graph)


@pytest.mark.parametrize("default", [1.0, 5.0])
def test_an_input_with_a_default_keeps_it(graph: tf.Graph, tmp_path: Path, default: float) -> None:
    x = v1.placeholder_with_default(default, [], "x")
    y = x * v1.get_variable("w", initializer=2.0)
    exported(tmp_path / "model", signatures({"x": x}, {"y": y}))
    assert ask(tmp_path / "model", {})[0]["y"] == 2.0 * default
