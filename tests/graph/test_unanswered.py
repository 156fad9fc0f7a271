"""Signatures that cannot be answered: refused when serving, warned of in complete graphs, which TensorFlow takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import GraphError
from autodist_saved.graph.checks.check import check
from autodist_saved.graph.meta_graph_builder import describe
from tests.support.meta_graphs import request

Told = Callable[..., str]


@pytest.fixture
def told(graph: tf.Graph, caplog: pytest.LogCaptureFixture) -> Told:
    """What is said of a signature: the same in a warning and in a refusal."""

    def told(inputs: dict[str, Any], y: tf.Tensor, **arguments: Any) -> str:
        signatures = {"p": v1.saved_model.predict_signature_def(inputs, {"y": y})}
        arguments.setdefault("saver", v1.train.Saver(allow_empty=True))
        proto = describe(request(graph, signatures=signatures, **arguments)).proto
        caplog.clear()
        check(proto, devices_cleared=True)
        warned = "".join(record.getMessage() for record in caplog.records)
        if not warned:
            check(proto, devices_cleared=True, serving=True)
            return ""
        if "train_op" not in arguments:
            with pytest.raises(GraphError) as caught:
                check(proto, devices_cleared=True, serving=True)
            assert str(caught.value).partition("\n")[2] == warned.partition("\n")[2]
        return warned

    return told


@pytest.fixture
def x(graph: tf.Graph) -> tf.Tensor:
    return v1.placeholder(tf.float32, [], "x")


def test_placeholders_that_are_no_inputs(told: Told, x: tf.Tensor) -> None:
    words, more = v1.placeholder(tf.float32, [], "words"), v1.placeholder(tf.float32, [], "more")
    text = told({"x": x}, x + words * more)
    assert "signature 'p': it needs placeholders that nobody feeds: 'more', 'words'; tf.saved_model.load" in text
    assert "fix: make them inputs of the signature, or give them a value with" in text


def test_a_placeholder_of_the_main_op(told: Told, x: tf.Tensor) -> None:
    loaded = tf.group(v1.placeholder(tf.float32, [], "where"))
    assert "main_op: it needs placeholders that nobody feeds: 'where'" in told({"x": x}, x * 2.0, main_op=loaded)


def test_placeholders_of_others_are_nobodys_business(told: Told, x: tf.Tensor) -> None:
    words = v1.placeholder(tf.float32, [], "words")
    hidden = words * 2.0
    default = v1.placeholder_with_default(1.0, [])
    assert not told({"hidden": hidden, "x": x}, x + hidden + default, train_op=tf.group(words))


@pytest.mark.parametrize("use_resource", [True, False])
def test_variables_that_are_not_saved(told: Told, x: tf.Tensor, use_resource: bool) -> None:
    saved, scale, bias = (
        v1.get_variable(name, [], use_resource=use_resource, collections=[collection])
        for name, collection in (("saved", "variables"), ("scale", "variables"), ("bias", "local_variables"))
    )
    saver = v1.train.Saver([saved])
    text = told({"x": x}, x * saved * scale + bias, saver=saver)
    assert "signature 'p': it needs variables that the saver does not save and the main op does not assign: " in text
    assert "'bias', 'scale'\n" in text
    with tf.control_dependencies([scale.assign(1.0)]):
        own = scale.read_value()
    assert not told({"x": x}, own, saver=saver)
    assert not told({"x": x}, bias, saver=saver, main_op=v1.initialize_variables([bias]))
    if use_resource:
        assigned = v1.cond(tf.constant(True), lambda: bias.assign(1.0), lambda: tf.identity(bias)).op
        assert not told({"x": x}, tf.identity(bias), saver=saver, main_op=assigned)
    assert not told({"x": x}, x * saved, saver=saver)


@pytest.mark.parametrize("use_resource", [True, False])
def test_a_variable_that_is_assigned_in_a_branch_of_the_graph_itself(
    told: Told, x: tf.Tensor, use_resource: bool
) -> None:
    v1.disable_control_flow_v2()
    try:
        bias = v1.get_variable("bias", [], use_resource=use_resource, collections=["local_variables"])
        assigned = v1.cond(tf.constant(True), lambda: bias.assign(1.0), lambda: tf.identity(bias)).op
    finally:
        v1.enable_control_flow_v2()
    assert not told({"x": x}, x + bias, main_op=assigned)


def test_variables_of_the_train_op_that_are_not_saved(told: Told, x: tf.Tensor) -> None:
    saved, step = v1.get_variable("saved", []), v1.get_variable("step", [])
    text = told({"x": x}, x * saved, saver=v1.train.Saver([saved]), train_op=step.assign_add(1.0))
    assert "train_op: it needs variables that the saver does not save and the main op does not assign: 'step'" in text
    assert "signature" not in text.partition("fix")[0]


def test_an_iterator(told: Told, x: tf.Tensor) -> None:
    iterator = v1.data.make_initializable_iterator(tf.data.Dataset.range(3).map(float), shared_name="rows")
    y = x + iterator.get_next()
    text = told({"x": x}, y)
    assert "signature 'p': it takes the next element of an iterator that nobody initializes: 'IteratorV2'" in text
    assert not told({"x": x}, y, main_op=iterator.initializer)
    assert not told({"x": x}, y, tags=["train"])
    with tf.control_dependencies([iterator.initializer]):
        assert not told({"x": x}, x + iterator.get_next())
    assert not told({"x": x}, x + v1.data.make_one_shot_iterator(tf.data.Dataset.range(3).map(float)).get_next())
    assert not told({"x": x}, x + tf.data.Dataset.range(3).map(float).reduce(0.0, tf.add))


def test_an_iterator_of_a_function(told: Told, x: tf.Tensor) -> None:
    @tf.function
    def total(value: tf.Tensor) -> tf.Tensor:
        for number in tf.data.Dataset.range(3).map(lambda number: tf.cast(number, tf.float32)):
            value += number
        return value

    assert not told({"x": x}, total(x))


def test_a_queue(told: Told, x: tf.Tensor) -> None:
    queue = v1.FIFOQueue(3, tf.float32, [[]], name="queue")
    fill = queue.enqueue(x)
    y = x + queue.dequeue()
    text = told({"x": x}, y)
    assert "signature 'p': it waits for ever for an element of a queue that nobody fills: 'queue'" in text
    with tf.control_dependencies([fill]):
        assert not told({"x": x}, x + queue.dequeue())
    assert not told({"x": x}, y, main_op=queue.enqueue(1.0))
    assert not told({"x": x}, x + tf.cast(queue.size(), tf.float32))
    assert not told({"element": (element := queue.dequeue())}, element * 2.0)
