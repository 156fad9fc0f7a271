"""Ops that plain TensorFlow does not have are refused by name, with the signatures that reach them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import GraphError
from autodist_saved.graph.checks.check import check
from autodist_saved.graph.meta_graph_builder import describe
from autodist_saved.tf_internals import private_api
from tests.support.meta_graphs import request


def described(graph: tf.Graph, foreign: str, op_type: str = "HorovodAllreduce", **arguments: Any) -> Any:
    """A described graph in which an op is of another type."""
    proto = describe(request(graph, **arguments)).proto
    functions = (function.node_def for function in proto.graph_def.library.function)
    (node,) = [node for nodes in (proto.graph_def.node, *functions) for node in nodes if node.name == foreign]
    node.op = op_type
    return proto


def refused(proto: Any) -> str:
    with pytest.raises(GraphError) as caught:
        check(proto, devices_cleared=True)
    (problem,) = caught.value.problems
    return str(problem)


def model() -> dict[str, Any]:
    x = v1.placeholder(tf.float32, [], "x")
    y = tf.negative(tf.identity(x, "allreduce"), name="y")
    return {"signatures": {"p": v1.saved_model.predict_signature_def({"x": x}, {"y": y})}}


def test_the_op_and_the_signature_that_reaches_it_are_named(graph: tf.Graph) -> None:
    assert refused(described(graph, "allreduce", **model())) == (
        "op type 'HorovodAllreduce': plain TensorFlow has no such op and cannot load the model; it is the type of "
        "'allreduce', reached by signature 'p'\n    fix: build the signature's graph without it, as for one machine; "
        "or, if all who load the model load the op's library first, name the type in "
        "ExportOptions(custom_ops=[...])"
    )


def test_an_op_of_the_train_op_alone_can_be_left_out(graph: tf.Graph) -> None:
    arguments = model()
    with v1.control_dependencies([tf.identity(1.0, "gradients")]):
        train_op = tf.no_op("train")
    text = refused(described(graph, "gradients", train_op=train_op, **arguments))
    assert "reached by the train op alone\n    fix: give serving=True, which leaves out what no" in text


def test_an_op_of_the_main_op_can_only_be_left_out_by_its_user(graph: tf.Graph) -> None:
    with v1.control_dependencies([tf.identity(1.0, "broadcast")]):
        main_op = tf.no_op("load")
    text = refused(described(graph, "broadcast", main_op=main_op, **model()))
    assert "reached by the main op\n    fix: give a main op without it" in text


def test_an_op_that_nothing_reaches_is_refused_too_because_no_loader_gets_past_it(graph: tf.Graph) -> None:
    tf.no_op("broadcast")
    assert "reached by no signature\n    fix: give serving=True" in refused(described(graph, "broadcast", **model()))


def test_functions_are_searched(graph: tf.Graph) -> None:
    @tf.function
    def reduced(value: tf.Tensor) -> tf.Tensor:
        return tf.negative(value, name="inside")

    x = v1.placeholder(tf.float32, [], "x")
    signature = v1.saved_model.predict_signature_def({"x": x}, {"y": reduced(x)})
    text = refused(described(graph, "inside", signatures={"p": signature}))
    assert "it is the type of 'inside' of function '__inference_reduced_" in text
    assert "reached by signature 'p'" in text


def test_all_types_are_named_each_once(graph: tf.Graph) -> None:
    proto = described(graph, "allreduce", **model())
    for number in range(3):
        proto.graph_def.node.add(name=f"gather_{number}", op="HorovodAllgather")
    with pytest.raises(GraphError) as caught:
        check(proto, devices_cleared=True)
    places = [problem.place for problem in caught.value.problems]
    assert places == ["op type 'HorovodAllgather'", "op type 'HorovodAllreduce'"]
    assert "it is the type of 'gather_0' and 2 more" in str(caught.value)


def test_ops_that_all_loaders_have_may_be_named(graph: tf.Graph) -> None:
    check(described(graph, "allreduce", **model()), devices_cleared=True, custom_ops={"HorovodAllreduce"})


def test_ops_that_tensorflow_has_and_does_not_list_are_known(graph: tf.Graph) -> None:
    check(described(graph, "allreduce", "XlaCallModule", **model()), devices_cleared=True)


def test_no_process_is_started_for_a_graph_of_ordinary_ops(graph: tf.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(private_api, "ops_of_plain_tensorflow")

    @tf.function
    def twice(value: tf.Tensor) -> tf.Tensor:
        return value * 2.0

    twice(tf.constant(1.0))
    v1.train.AdamOptimizer().minimize(v1.get_variable("w", initializer=1.0) ** 2)
    check(describe(request(graph)).proto, devices_cleared=True)


def test_python_functions_that_a_signature_calls_are_refused(graph: tf.Graph) -> None:
    x = v1.placeholder(tf.float32, [], "x")
    y = tf.numpy_function(lambda value: value, [x], tf.float32, name="y")
    arguments = {"signatures": {"p": v1.saved_model.predict_signature_def({"x": x}, {"y": y})}}
    proto = describe(request(graph, **arguments)).proto
    what = "signature 'p': it calls Python functions of this process, which no other process has: 'y'"
    assert what in refused(proto)
    check(proto, devices_cleared=True, custom_ops={"PyFunc"})


def test_python_functions_of_the_training_alone_are_let_through(
    graph: tf.Graph, caplog: pytest.LogCaptureFixture
) -> None:
    tf.numpy_function(lambda: np.float32(1), [], tf.float32)
    check(describe(request(graph, **model())).proto, devices_cleared=True)
    assert not caplog.records


@pytest.mark.parametrize("kind", ["function", "data set"])
def test_python_functions_of_the_train_op_are_told(
    graph: tf.Graph, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    if kind == "function":
        loss = tf.numpy_function(lambda: np.float32(1), [], tf.float32, name="loss")
    else:
        data = tf.data.Dataset.from_generator(lambda: iter([1.0]), output_signature=tf.TensorSpec([]))
        loss = v1.data.make_one_shot_iterator(data).get_next()
    arguments = {**model(), "train_op": tf.group(loss)}
    proto = describe(request(graph, **arguments)).proto
    check(proto, devices_cleared=True)
    (record,) = caplog.records
    assert "train_op: it calls Python functions of this process, which no other process has: " in record.getMessage()
    caplog.clear()
    check(proto, devices_cleared=True, custom_ops={"PyFunc"})
    assert not caplog.records
