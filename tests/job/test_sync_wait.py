"""Runs of synchronous training are in a step while they change variables, and in none while they wait for others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.control.gate import Standing
from autodist_saved.errors import UsageError
from autodist_saved.job.step_detection import StepDetector
from autodist_saved.job.sync_waits import check_sync_waits, put_sync_waits, sync_waits
from tests.support.patience import PATIENCE_SECS
from tests.support.synchronous import SyncTraining, weights


@pytest.fixture
def training(graph: tf.Graph) -> SyncTraining:
    """One that takes the gradients of two steps together, with its ops in the graph."""
    with graph.as_default():
        loss = tf.add_n([tf.reduce_sum(weights(name, use_resource=True) ** 2) for name in "ab"])
        return SyncTraining(v1.train.AdamOptimizer(), loss)


@pytest.fixture
def saver(training: SyncTraining) -> ads.Saver:
    del training
    return ads.Saver()


@pytest.fixture
def session(training: SyncTraining, saver: ads.Saver) -> Iterator[ads.DistributedSession]:
    with training.session(saver) as session:
        yield session


@pytest.fixture
def updating(session: ads.DistributedSession, training: SyncTraining) -> Iterator[threading.Thread]:
    """An update that waits for its gradients."""
    with training.updating(session.raw_session()) as thread:
        yield thread


def test_a_cut_does_not_wait_for_gradients(
    session: ads.DistributedSession, training: SyncTraining, updating: threading.Thread
) -> None:
    training.hand_in(session.raw_session())
    session.gate.park(1, PATIENCE_SECS)
    assert session.gate.wait_until_parked(PATIENCE_SECS)
    assert updating.is_alive()
    session.gate.release(1)


def test_an_update_that_has_its_gradients_waits_for_the_cut(
    session: ads.DistributedSession, training: SyncTraining, updating: threading.Thread
) -> None:
    raw, step = session.raw_session(), v1.train.get_global_step(session.graph)
    session.gate.park(1, PATIENCE_SECS)
    for _ in range(2):
        training.hand_in(session.raw_session())
    updating.join(0.5)
    assert updating.is_alive()
    assert session.gate.standing is Standing.PARKED
    assert raw.run(step) == 0
    session.gate.release(1)
    updating.join()
    assert raw.run(step) == session.gate.steps == 1


def test_a_graph_gets_each_gate_once(training: SyncTraining, graph: tf.Graph) -> None:
    put_sync_waits(graph)
    operations = len(graph.get_operations())
    put_sync_waits(graph)
    assert len(graph.get_operations()) == operations
    graph.finalize()
    check_sync_waits(graph)
    update, token = sync_waits(graph)
    assert sum(operation.type.endswith("TakeGradient") for operation in update.ops) == 2
    assert update.enter is not None
    assert (token.leave, token.enter) == (None, None), "nothing is changed around this wait"


def test_a_final_graph_without_its_gates_is_refused(training: SyncTraining, graph: tf.Graph) -> None:
    graph.finalize()
    with pytest.raises(UsageError, match=r"before scaffold\.finalize\(\)"):
        ads.create_distributed_session(ads.Cluster.single())


def test_what_is_changed_beside_an_update_is_refused(training: SyncTraining, graph: tf.Graph) -> None:
    other = v1.assign_add(v1.get_variable("other", initializer=0.0, use_resource=True), 1.0).op
    put_sync_waits(graph)
    writes = StepDetector(graph)
    assert writes.look(training.update).wait is not None
    assert writes.look(other).wait is None
    assert writes.any_in(other)
    assert not writes.any_in(training.handing_in)
    with pytest.raises(UsageError, match=f"{other.name}: variables would be changed while .+ waits for gradients"):
        writes.look([training.update, other])


def test_a_block_that_is_one_step_must_not_wait(training: SyncTraining, session: ads.DistributedSession) -> None:
    with session.gate.step(), pytest.raises(UsageError, match="would wait for gradients"):
        session.raw_session().run(training.update)


def test_gradients_that_are_taken_for_another_purpose_have_no_gate(graph: tf.Graph) -> None:
    accumulator = tf.compat.v1.ConditionalAccumulator(tf.float32, shape=[])
    v1.assign_add(v1.get_variable("w", initializer=0.0, use_resource=True), accumulator.take_grad(1))
    put_sync_waits(graph)
    assert sync_waits(graph) == ()


def test_an_update_that_counts_in_a_variable_of_others_is_refused(graph: tf.Graph) -> None:
    count = v1.assign_add(v1.get_variable("count", initializer=0.0, use_resource=True), 1.0)
    v1.summary.scalar("count", count)
    loss = tf.reduce_sum(weights("a", use_resource=True) ** 2)
    SyncTraining(v1.train.GradientDescentOptimizer(0.1 / count), loss)
    with pytest.raises(UsageError, match=r"while it waits for gradients.+AssignAddVariableOp"):
        ads.create_distributed_session(ads.Cluster.single())


def test_a_part_of_an_update_cannot_be_fetched_alone(graph: tf.Graph) -> None:
    count = v1.assign_add(v1.get_variable("count", initializer=0.0, use_resource=True), 1.0)
    loss = tf.reduce_sum(weights("a", use_resource=True) ** 2)
    training = SyncTraining(v1.train.GradientDescentOptimizer(0.1 / count), loss)
    put_sync_waits(graph)
    writes = StepDetector(graph)
    assert writes.look(training.update).wait is not None
    with pytest.raises(UsageError, match="a part of a synchronous update"):
        writes.look(count)


def in_a_loop(variable: Any) -> tf.Operation:
    """It halves a variable three times, in a loop that is nodes of the graph itself."""
    with v1.variable_scope("loop"):

        def body(turn: Any) -> Any:
            with tf.control_dependencies([v1.assign(variable, variable * 0.5)]):
                return turn + 1

        return v1.while_loop(lambda turn: turn < 3, body, [tf.constant(0)]).op


class Decaying(v1.train.GradientDescentOptimizer):  # type: ignore[misc]
    """A stranger's optimizer: weights decay, whatever the gradients, before these are applied."""

    def __init__(self, decay: Callable[[Any], Any]) -> None:
        super().__init__(0.1)
        self._decay = decay

    def _resource_apply_dense(self, grad: Any, handle: Any) -> Any:
        with tf.control_dependencies([self._decay(handle)]):
            return super()._resource_apply_dense(grad, handle)


def decaying(decay: Callable[[Any], Any]) -> tuple[Any, SyncTraining]:
    weight = weights("a", use_resource=True)
    v1.disable_control_flow_v2()
    try:
        return weight, SyncTraining(Decaying(decay), tf.reduce_sum(weight**2))
    finally:
        v1.enable_control_flow_v2()


def test_nothing_changes_before_the_gradients_are_there(graph: tf.Graph) -> None:
    weight, training = decaying(lambda variable: variable.assign_sub(0.5 * variable))
    with training.session(ads.Saver()) as session:
        raw = session.raw_session()
        before = raw.run(weight)
        with training.updating(raw) as thread:
            session.gate.park(1, PATIENCE_SECS)
            assert session.gate.wait_until_parked(PATIENCE_SECS)
            for _ in range(2):
                training.hand_in(raw)
            training.wait_for_gradients(raw, at_most=0)
            np.testing.assert_array_equal(raw.run(weight), before)
            session.gate.release(1)
            thread.join()
            assert (raw.run(weight) != before).all()


def test_what_an_update_changes_in_a_loop_is_refused(graph: tf.Graph) -> None:
    decaying(in_a_loop)
    with pytest.raises(UsageError, match=r"while it waits for gradients.+while/AssignVariableOp.+outside of loops"):
        ads.create_distributed_session(ads.Cluster.single())


class TestWorker:
    """A worker's run: it hands gradients in, and waits for the token with which it goes on."""

    @pytest.fixture
    def moments(self, graph: tf.Graph) -> Any:
        """Moving moments, as batch normalization keeps them."""
        return weights("moments", use_resource=True, trainable=False)

    @pytest.fixture
    def update(self, moments: Any) -> tf.Operation:
        return moments.assign_add(tf.ones_like(moments)).op

    def train(self, update: tf.Operation | None = None) -> SyncTraining:
        """The gradients need what is computed after the update."""
        with tf.control_dependencies([] if update is None else [update]):
            x = tf.identity(tf.constant(2.0))
        loss = tf.reduce_sum((x * weights("a", use_resource=True)) ** 2)
        return SyncTraining(v1.train.GradientDescentOptimizer(0.1), loss)

    def run_until_it_waits(
        self, training: SyncTraining, train_op: Any, moments: Any, before: int, after: int
    ) -> None:
        """A cut holds while the run waits, all that comes before is done, and the rest waits for the cut."""
        with training.session(ads.Saver()) as session:
            raw = session.raw_session()
            thread = threading.Thread(target=raw.run, args=(train_op,))
            thread.start()
            try:
                training.wait_for_gradients(raw, at_least=1)
                session.gate.park(1, PATIENCE_SECS)
                assert session.gate.wait_until_parked(PATIENCE_SECS)
                np.testing.assert_array_equal(raw.run(moments), np.full([4, 2], before + 1))
                raw.run(training.tokens)
                thread.join(0.2)
                assert thread.is_alive() == (after > before)
                np.testing.assert_array_equal(raw.run(moments), np.full([4, 2], before + 1))
            finally:
                session.gate.release(1)
                raw.run(training.tokens)
                thread.join()
            np.testing.assert_array_equal(raw.run(moments), np.full([4, 2], after + 1))
            assert session.gate.steps == after

    def test_moments_before_the_token(self, moments: Any, update: tf.Operation) -> None:
        training = self.train(update)
        self.run_until_it_waits(training, training.train_op, moments, before=1, after=1)

    def test_averages_after_the_token(self, moments: Any) -> None:
        training = self.train()
        with tf.control_dependencies([training.train_op]):
            average = moments.assign_add(tf.ones_like(moments)).op
        self.run_until_it_waits(training, average, moments, before=0, after=1)

    def test_both(self, moments: Any, update: tf.Operation) -> None:
        training = self.train(update)
        with tf.control_dependencies([training.train_op]):
            average = moments.assign_add(tf.ones_like(moments)).op
        self.run_until_it_waits(training, average, moments, before=1, after=2)

    def test_moments_that_are_joined_with_the_token_come_before_it(self, moments: Any, update: tf.Operation) -> None:
        training = self.train()
        train_op = tf.group(training.train_op, update)
        self.run_until_it_waits(training, train_op, moments, before=1, after=1)

    def test_what_is_made_after_the_saver_counts_as_well(self, moments: Any, update: tf.Operation) -> None:
        training = self.train()
        ads.Saver()
        train_op = tf.group(training.train_op, update)
        self.run_until_it_waits(training, train_op, moments, before=1, after=1)

    def test_moments_beside_the_token_are_refused(self, moments: Any, update: tf.Operation) -> None:
        training = self.train()
        with training.session(ads.Saver()) as session:
            with pytest.raises(UsageError, match=r"waits for the token of an update.+control_dependencies"):
                session.raw_session().run([training.train_op, update])
            session.raw_session().run(update)

    def test_two_threads_of_one_process_do_not_wait_for_each_other(self, moments: Any, update: tf.Operation) -> None:
        training = self.train(update)
        with training.session(ads.Saver()) as session:
            raw = session.raw_session()
            threads = [threading.Thread(target=raw.run, args=(training.train_op,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            training.wait_for_gradients(raw, at_least=2)
            session.gate.park(1, PATIENCE_SECS)
            assert session.gate.wait_until_parked(PATIENCE_SECS)
            assert session.gate.steps == 2
            session.gate.release(1)
            raw.run(training.tokens)
            for thread in threads:
                thread.join()
            np.testing.assert_array_equal(raw.run(moments), np.full([4, 2], 3.0))

    def test_a_run_that_fails_leaves_no_step_behind(self, moments: Any) -> None:
        fine = v1.placeholder_with_default(True, [], "fine")
        with tf.control_dependencies([v1.Assert(fine, ["not fine"])]):
            update = moments.assign_add(tf.ones_like(moments)).op
        training = self.train(update)
        with training.session(ads.Saver()) as session:
            with pytest.raises(tf.errors.InvalidArgumentError):
                session.raw_session().run(training.train_op, {fine: False})
            session.gate.park(1, PATIENCE_SECS)
            assert session.gate.wait_until_parked(PATIENCE_SECS)
            session.gate.release(1)


def test_the_model_knows_nothing_of_it(session: ads.DistributedSession, saver: ads.Saver, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(tmp_path / "model")
    builder.add_meta_graph_and_variables(session, ["serve"], saver=saver)
    builder.save()
    with tf.Graph().as_default(), v1.Session() as plain:
        v1.saved_model.loader.load(plain, ["serve"], str(tmp_path / "model"))
        assert plain.run(v1.train.get_global_step(plain.graph)) == 0
        assert "PyFunc" not in {operation.type for operation in plain.graph.get_operations()}
