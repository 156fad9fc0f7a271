"""Which runs count as training steps: those that change variables, however they do it, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.job.step_detection import StepDetector


def weight(name: str = "w", **arguments: Any) -> Any:
    return v1.get_variable(name, [4, 2], **arguments)


def train(optimizer: Any, **arguments: Any) -> Any:
    loss = tf.reduce_sum(tf.nn.embedding_lookup(weight(**arguments), [0, 1]))
    return optimizer.minimize(loss, global_step=v1.train.get_or_create_global_step())


def in_a_branch(change: Callable[[Any], Any]) -> Any:
    variable = weight(use_resource=True)
    return tf.cond(v1.placeholder(tf.bool, []), lambda: change(variable), lambda: tf.zeros([4, 2]))


def mutable_table() -> Any:
    return tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, -1)


def in_a_function(variable: Any) -> Any:
    @tf.function
    def call() -> Any:
        variable.assign_add(tf.ones([4, 2]))
        return variable.read_value()

    return call()


CHANGES = {
    "dense": lambda: v1.assign_add(weight(use_resource=True), tf.ones([4, 2])),
    "reference": lambda: v1.assign_add(weight(use_resource=False), tf.ones([4, 2])),
    "sparse adam": lambda: train(v1.train.AdamOptimizer(), use_resource=True),
    "sparse sgd, reference": lambda: train(v1.train.GradientDescentOptimizer(0.1), use_resource=False),
    "partitioned": lambda: train(v1.train.AdagradOptimizer(0.1), partitioner=v1.fixed_size_partitioner(2)),
    "global step alone": lambda: v1.assign_add(v1.train.get_or_create_global_step(), 1),
    "initializer": lambda: weight().initializer,
    "in a branch": lambda: in_a_branch(lambda variable: variable.assign_add(tf.ones([4, 2]))),
    "in a function": lambda: in_a_function(weight(use_resource=True)),
    "table": lambda: mutable_table().insert(tf.constant([1], tf.int64), tf.constant([2], tf.int64)),
    "chosen reference": lambda: v1.assign(
        tf.raw_ops.RefSelect(
            index=0, inputs=[weight(use_resource=False)._ref(), weight("v", use_resource=False)._ref()]
        ),
        tf.ones([4, 2]),
    ),
    "handle out of an unknown op": lambda: tf.raw_ops.AssignVariableOp(
        resource=tf.raw_ops.IdentityN(input=[weight(use_resource=True).handle])[0], value=tf.ones([4, 2])
    ),
    "local and global": lambda: v1.assign(
        weight(use_resource=True, collections=[v1.GraphKeys.LOCAL_VARIABLES, v1.GraphKeys.GLOBAL_VARIABLES]),
        tf.ones([4, 2]),
    ),
    "nested": lambda: {"loss": tf.constant(1.0), "ops": [(v1.assign(weight(), tf.ones([4, 2])),)]},
    "unknown kind of fetch": lambda: object(),
}
READS = {
    "value": lambda: weight(use_resource=True).read_value(),
    "reference": lambda: weight(use_resource=False),
    "variable itself": lambda: weight(use_resource=True),
    "rows": lambda: tf.nn.embedding_lookup(weight(use_resource=True), [1]),
    "rows of a reference": lambda: tf.nn.embedding_lookup(weight(use_resource=False), [1]),
    "gradient": lambda: tf.gradients(tf.reduce_sum(weight(use_resource=True).read_value() ** 2), [weight("v")]),
    "in a branch": lambda: in_a_branch(lambda variable: variable.read_value() + 1),
    "is it initialized": lambda: v1.is_variable_initialized(weight(use_resource=False)),
    "table lookup": lambda: mutable_table().lookup(tf.constant([1], tf.int64)),
    "queue": lambda: v1.FIFOQueue(3, tf.int32, shapes=[[]]).enqueue(1),
    "local variable": lambda: v1.assign(
        weight(use_resource=True, collections=[v1.GraphKeys.LOCAL_VARIABLES]), tf.ones([4, 2])
    ),
    "local reference": lambda: v1.assign(
        weight(use_resource=False, collections=[v1.GraphKeys.LOCAL_VARIABLES]), tf.ones([4, 2])
    ),
    "constant by name": lambda: tf.constant(1.0).name,
    "nothing": list,
}


@pytest.mark.parametrize("make", CHANGES.values(), ids=CHANGES.keys())
def test_what_changes_variables_is_a_step(graph: tf.Graph, make: Callable[[], Any]) -> None:
    assert StepDetector(graph).any_in(make())


@pytest.mark.parametrize("make", READS.values(), ids=READS.keys())
def test_what_only_reads_passes_by(graph: tf.Graph, make: Callable[[], Any]) -> None:
    assert not StepDetector(graph).any_in(make())


def test_staging_passes_by_and_the_global_step_that_hooks_read_too(graph: tf.Graph) -> None:
    weight(use_resource=True)
    v1.train.get_or_create_global_step()
    saver = ads.Saver()
    read = v1.train.StopAtStepHook(last_step=3)
    read.begin()
    writes = StepDetector(graph)
    assert not writes.any_in([saver.staging.stage, saver.staging.discard])
    assert not writes.any_in({"hook": read.before_run(None).fetches})


def test_a_worker_of_a_synchronous_job_hands_in_gradients_and_the_chief_makes_the_step(graph: tf.Graph) -> None:
    optimizer = v1.train.SyncReplicasOptimizer(v1.train.GradientDescentOptimizer(0.1), 2)
    hands_in = train(optimizer, use_resource=True)
    writes = StepDetector(graph)
    assert not writes.any_in(hands_in)
    assert writes.any_in(optimizer.get_chief_queue_runner().enqueue_ops)


def test_a_fetch_is_looked_at_once(graph: tf.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = StepDetector(graph)
    step = weight().initializer
    assert writes.any_in({"caller": step})
    monkeypatch.setattr(writes, "_find", lambda _: pytest.fail("looked again"))
    assert writes.any_in({"other": [step]})
