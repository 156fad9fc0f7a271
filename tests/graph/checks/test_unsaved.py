"""Variables that have no value in the model, and those that get one."""

from __future__ import annotations

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from tests.support.meta_graphs import Told


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
    text = told({"x": x}, x * saved, saver=v1.train.Saver([saved]), train_op=step.assign_add(1.0).op)
    assert "train_op: it needs variables that the saver does not save and the main op does not assign: 'step'" in text
    assert "signature" not in text.partition("fix")[0]
