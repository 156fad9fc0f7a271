"""What a signature reaches is what TensorFlow would run for it."""

from __future__ import annotations

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.graph.graph_def.reach import Reach, Spot, all_ops


def test_inputs_control_inputs_and_nothing_else_are_reached(graph: tf.Graph) -> None:
    x = v1.placeholder(tf.float32, [], "x")
    with v1.control_dependencies([tf.no_op("before")]):
        y = tf.negative(x, name="y")
    tf.negative(y, name="after")
    assert Reach(graph.as_graph_def()).of(["y:0"]) == {Spot("x"), Spot("before"), Spot("y")}


def test_a_signature_ends_at_its_inputs(graph: tf.Graph) -> None:
    middle = tf.negative(tf.constant(1.0, name="far"), name="middle")
    first, second = tf.split(tf.reshape(middle, [1]) * [1.0, 2.0], 2, name="split")
    signature = v1.saved_model.predict_signature_def({"x": middle}, {"y": first})
    reached = Reach(graph.as_graph_def()).of_signature(signature)
    assert Spot("split") in reached
    assert not reached & {Spot("far"), Spot("middle")}
    other_half = v1.saved_model.predict_signature_def({"x": second}, {"y": first})
    assert Spot("far") in Reach(graph.as_graph_def()).of_signature(other_half), "one output is fed, another is not"


def test_all_tensors_of_a_sparse_output_are_followed(graph: tf.Graph) -> None:
    indices, shape = tf.constant([[0]], tf.int64, name="indices"), tf.constant([1], tf.int64, name="shape")
    sparse = tf.SparseTensor(indices, tf.constant([1.0], name="values"), shape)
    info = v1.saved_model.build_tensor_info(sparse)
    signature = v1.saved_model.build_signature_def({}, {"y": info}, "tensorflow/serving/predict")
    reached = Reach(graph.as_graph_def()).of_signature(signature)
    assert reached == {Spot("indices"), Spot("values"), Spot("shape")}


def test_functions_are_reached_through_functions(graph: tf.Graph) -> None:
    @tf.function
    def inner(value: tf.Tensor) -> tf.Tensor:
        return tf.negative(value, name="deep")

    @tf.function
    def outer(value: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(lambda left: left > 0.0, lambda left: [inner(left) - 1.0], [value])[0]

    y = outer(v1.placeholder(tf.float32, [], "x"))
    outer(tf.constant(1.0, name="elsewhere"))
    reached = Reach(graph.as_graph_def()).of([y.name])
    (deep,) = [spot for spot, _ in all_ops(graph.as_graph_def()) if spot.op == "deep"]
    assert deep.function
    assert deep in reached
    assert str(deep) == f"'deep' of function {deep.function!r}"
    assert Spot("elsewhere") not in reached
