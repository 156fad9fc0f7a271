"""Updates of synchronous training are steps from when they have their gradients; waiting for these is none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.control.gate import Standing
from autodist_saved.job.step_detection import StepDetector
from autodist_saved.job.sync_update_gate import update_gates


@pytest.fixture
def optimizer(graph: tf.Graph) -> Any:
    """One that takes the gradients of two steps together, with its ops in the graph."""
    with graph.as_default():
        optimizer = v1.train.SyncReplicasOptimizer(v1.train.AdamOptimizer(), 2, 2)
        variables = [v1.get_variable(name, [2], use_resource=True) for name in "ab"]
        loss = tf.add_n([tf.reduce_sum(variable**2) for variable in variables])
        optimizer.minimize(loss, global_step=v1.train.get_or_create_global_step(), name="train")
    return optimizer


@pytest.fixture
def update(optimizer: Any) -> tf.Operation:
    (operation,) = optimizer.get_chief_queue_runner().enqueue_ops
    return operation


def deliver(graph: tf.Graph) -> list[tf.Operation]:
    """Ops that hand in the gradients of one step."""
    return [operation for operation in graph.get_operations() if "AccumulatorApplyGradient" in operation.type]


@pytest.fixture
def saver(optimizer: Any) -> ads.Saver:
    del optimizer
    return ads.Saver()


@pytest.fixture
def session(optimizer: Any, saver: ads.Saver) -> Iterator[ads.DistributedSession]:
    local_init_op = tf.group(v1.local_variables_initializer(), optimizer.chief_init_op)
    scaffold = v1.train.Scaffold(saver=saver, local_init_op=local_init_op)
    with ads.create_distributed_session(ads.Cluster.single(), saver=saver, scaffold=scaffold) as session:
        yield session


@pytest.fixture
def updating(session: ads.DistributedSession, update: tf.Operation) -> Iterator[threading.Thread]:
    """An update that waits for its gradients."""
    raw = session.raw_session()
    thread = threading.Thread(target=raw.run, args=(update,))
    thread.start()
    yield thread
    for _ in range(2):
        raw.run(deliver(raw.graph))
    thread.join()


def test_a_cut_does_not_wait_for_gradients(session: ads.DistributedSession, updating: threading.Thread) -> None:
    session.raw_session().run(deliver(session.graph))
    session.gate.park(1, 20)
    assert session.gate.wait_until_parked(20)
    assert updating.is_alive()
    session.gate.release(1)


def test_an_update_that_has_its_gradients_waits_for_the_cut(
    session: ads.DistributedSession, updating: threading.Thread
) -> None:
    raw, step = session.raw_session(), v1.train.get_global_step(session.graph)
    session.gate.park(1, 20)
    for _ in range(2):
        raw.run(deliver(raw.graph))
    updating.join(0.5)
    assert updating.is_alive()
    assert session.gate.standing is Standing.PARKED
    assert raw.run(step) == 0
    session.gate.release(1)
    updating.join()
    assert raw.run(step) == session.gate.steps == 1


def test_several_savers_put_one_gate(optimizer: Any, update: tf.Operation, graph: tf.Graph) -> None:
    for _ in range(2):
        ads.Saver()
    (op,) = update_gates(graph)
    assert sum(operation.type.endswith("TakeGradient") for operation in op.control_inputs) == 2


def test_what_is_changed_beside_an_update_is_a_step_from_its_beginning(
    optimizer: Any, update: tf.Operation, graph: tf.Graph
) -> None:
    other = v1.assign_add(v1.get_variable("other", initializer=0.0, use_resource=True), 1.0).op
    ads.Saver()
    writes = StepDetector(graph)
    assert writes.look(update)[1] is not None
    assert writes.look([update, other])[1] is None
    assert writes.look(other)[1] is None
    assert writes.any_in([update, other])
    assert not writes.any_in(deliver(graph))


def test_gradients_that_are_taken_for_another_purpose_have_no_gate(graph: tf.Graph) -> None:
    accumulator = tf.compat.v1.ConditionalAccumulator(tf.float32, shape=[])
    v1.assign_add(v1.get_variable("w", initializer=0.0, use_resource=True), accumulator.take_grad(1))
    ads.Saver()
    assert update_gates(graph) == {}


def test_the_model_knows_nothing_of_it(session: ads.DistributedSession, saver: ads.Saver, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(tmp_path / "model")
    builder.add_meta_graph_and_variables(session, ["serve"], saver=saver)
    builder.save()
    with tf.Graph().as_default(), v1.Session() as plain:
        v1.saved_model.loader.load(plain, ["serve"], str(tmp_path / "model"))
        assert plain.run(v1.train.get_global_step(plain.graph)) == 0
        assert "PyFunc" not in {operation.type for operation in plain.graph.get_operations()}
