"""Random ops that a signature reaches are told, by op and signature; all others are nobody's business."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.graph.checks.check import check
from autodist_saved.graph.meta_graph_builder import describe
from tests.support.meta_graphs import request


def predict(x: tf.Tensor, y: tf.Tensor) -> Any:
    return v1.saved_model.predict_signature_def({"x": x}, {"y": y})


def warned(graph: tf.Graph, caplog: pytest.LogCaptureFixture, **arguments: object) -> list[str]:
    check(describe(request(graph, **arguments)).proto, devices_cleared=True)
    return [record.getMessage() for record in caplog.records if record.name.startswith("autodist_saved")]


def test_dropout_that_was_left_on_is_told_once_with_its_signatures(
    graph: tf.Graph, caplog: pytest.LogCaptureFixture
) -> None:
    x = v1.placeholder(tf.float32, [None, 4], "x")
    y = tf.nn.dropout(x, 0.5, name="drop")
    signatures = {"a": predict(x, y), "b": predict(x, tf.nn.relu(y)), "c": predict(x, tf.identity(x))}
    (text,) = warned(graph, caplog, signatures=signatures)
    op = "'drop/random_uniform/RandomUniform' (RandomUniform)"
    assert f"because signature 'a' reaches {op}; signature 'b' reaches {op}; if that is dropout" in text


def test_random_ops_in_functions_are_found(graph: tf.Graph, caplog: pytest.LogCaptureFixture) -> None:
    @tf.function
    def noisy(value: tf.Tensor) -> tf.Tensor:
        return value + tf.random.normal([])

    x = v1.placeholder(tf.float32, [])
    (text,) = warned(graph, caplog, signatures={"p": predict(x, noisy(x))})
    assert "RandomStandardNormal' of function '" in text


def test_many_random_ops_are_not_listed_one_by_one(graph: tf.Graph, caplog: pytest.LogCaptureFixture) -> None:
    x = v1.placeholder(tf.float32, [])
    y = tf.add_n([tf.random.uniform([], name=f"random_{number}") + x for number in range(5)])
    (text,) = warned(graph, caplog, signatures={"p": predict(x, y)})
    assert "random_2" in text
    assert "random_3" not in text
    assert "and 2 more" in text


@pytest.mark.parametrize("switch", ["default", "default that is an input", "flag", "flag with a default"])
def test_dropout_that_an_input_turns_off_is_told_with_care(
    graph: tf.Graph, caplog: pytest.LogCaptureFixture, switch: str
) -> None:
    x = v1.placeholder(tf.float32, [4], "x")
    inputs = {"x": x}
    if "flag" in switch:
        flag = v1.placeholder_with_default(False, []) if "default" in switch else v1.placeholder(tf.bool, [])
        inputs["flag"] = flag
        y = v1.cond(flag, lambda: tf.nn.dropout(x, 0.5), lambda: x)
    else:
        rate = v1.placeholder_with_default(0.0, [])
        inputs |= {"rate": rate} if "input" in switch else {}
        y = tf.nn.dropout(x, rate=rate)
    signatures = {"p": v1.saved_model.predict_signature_def(inputs, {"y": y})}
    (text,) = warned(graph, caplog, signatures=signatures)
    assert text.startswith("the model may answer differently each time, unless its inputs turn that off")


def test_what_no_answer_depends_on_is_passed_over(graph: tf.Graph, caplog: pytest.LogCaptureFixture) -> None:
    x = v1.placeholder(tf.float32, [])
    noise = tf.random.uniform([])
    weight = v1.get_variable("w", initializer=tf.random.uniform([]))
    train_op = tf.identity(noise)
    signatures = {"p": predict(x, x + weight), "fed": predict(noise, noise + 1.0)}
    assert not warned(graph, caplog, signatures=signatures, train_op=train_op)


def test_a_graph_for_training_may_be_random(graph: tf.Graph, caplog: pytest.LogCaptureFixture) -> None:
    x = v1.placeholder(tf.float32, [])
    signatures = {"p": predict(x, tf.nn.dropout(x, 0.5))}
    assert not warned(graph, caplog, signatures=signatures, tags=["train"])
