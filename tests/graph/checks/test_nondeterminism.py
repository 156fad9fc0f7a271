"""Which signatures answer the same whenever variables and inputs are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.graph.checks.nondeterminism import nondeterministic_signatures
from autodist_saved.graph.meta_graph_builder import describe
from tests.support.meta_graphs import request


@tf.function
def noisy(x: tf.Tensor) -> tf.Tensor:
    return x + tf.random.normal([])


def found(graph: tf.Graph, x: tf.Tensor, y: tf.Tensor, **arguments: Any) -> dict[str, str]:
    signatures = {"p": v1.saved_model.predict_signature_def({"x": x}, {"y": y})}
    wanted = request(graph, signatures=signatures, saver=v1.train.Saver(allow_empty=True), **arguments)
    return nondeterministic_signatures(describe(wanted).proto)


def variable(x: tf.Tensor) -> tf.Tensor:
    return x * v1.get_variable("w", [], use_resource=True)


def reference(x: tf.Tensor) -> tf.Tensor:
    return x * v1.get_variable("w", [], use_resource=False)


def mutable_table(x: tf.Tensor) -> tf.Tensor:
    table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, 0.0)
    return x * table.lookup(tf.constant(1, tf.int64))


def loop(x: tf.Tensor) -> tf.Tensor:
    return tf.while_loop(lambda i, _: i < 3, lambda i, z: (i + 1, z * 2), [0, x])[1]


def tensor_array(x: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(lambda one: one * 2, tf.stack([x, x]))


def seeded(x: tf.Tensor) -> tf.Tensor:
    return x + tf.random.stateless_normal([], [1, 2])


def checked(x: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.debugging.assert_positive(x), tf.print(x)]):
        return tf.identity(x)


def function(x: tf.Tensor) -> tf.Tensor:
    return tf.function(lambda one: one * 2)(x)


STEADY = [variable, reference, mutable_table, loop, tensor_array, seeded, checked, function]


@pytest.mark.parametrize("make", STEADY, ids=lambda make: make.__name__)
def test_what_depends_on_inputs_variables_and_tables_alone_is_beyond_doubt(
    graph: tf.Graph, make: Callable[[tf.Tensor], tf.Tensor]
) -> None:
    x = v1.placeholder(tf.float32, [], "x")
    assert found(graph, x, make(x)) == {}


def test_random_numbers_within_functions_are_found(graph: tf.Graph) -> None:
    x = v1.placeholder(tf.float32, [], "x")
    (said,) = found(graph, x, noisy(x)).values()
    assert "(RandomStandardNormal)" in said
    assert "of function" in said


def test_a_queue_is_doubted_unless_the_signature_has_its_element_for_an_input(graph: tf.Graph) -> None:
    element = v1.FIFOQueue(1, tf.float32, [[]]).dequeue()
    x = v1.placeholder(tf.float32, [], "x")
    (said,) = found(graph, x, x + element).values()
    assert "(QueueDequeueV2)" in said
    assert found(graph, element, element + 1.0) == {}


def test_what_the_main_op_assigns_is_doubted_where_it_is_read(graph: tf.Graph) -> None:
    x = v1.placeholder(tf.float32, [], "x")
    flag = v1.get_variable("flag", initializer=1.0, use_resource=True)
    main_op = flag.assign(2.0).op
    (said,) = found(graph, x, x * flag, main_op=main_op).values()
    assert said == "the main op gives a value to 'flag', which it reads"
    assert found(graph, x, x * 2.0, main_op=main_op) == {}


def test_a_node_that_is_a_call_is_what_its_function_does(graph: tf.Graph) -> None:
    """TensorFlow's older functions are types of ops of their own."""
    x = v1.placeholder(tf.float32, [], "x")
    for steady, make in ((True, function), (False, noisy)):
        signatures = {"p": v1.saved_model.predict_signature_def({"x": x}, {"y": make(x)})}
        proto = describe(request(graph, signatures=signatures)).proto
        for node in proto.graph_def.node:
            if node.op.endswith("PartitionedCall"):
                node.op = node.attr["f"].func.name
                node.attr.clear()
        assert (nondeterministic_signatures(proto) == {}) is steady
