"""Synchronous training of one process: the update of a chief, and what its replicas would hand in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.support.patience import PATIENCE_SECS

REPLICAS = 2


def weights(name: str, **arguments: Any) -> Any:
    """A small variable of ones."""
    return v1.get_variable(name, [4, 2], initializer=v1.ones_initializer(), **arguments)


class SyncTraining:
    """The ops of a ``SyncReplicasOptimizer`` around another optimizer, in the default graph.

    Attributes:
        train_op: what a worker runs.
        update: what the chief's thread runs; it takes the gradients of :data:`REPLICAS` steps.
        handing_in: ops that hand in the gradients of one step.
        tokens: hands out tokens for all replicas.
    """

    def __init__(self, optimizer: Any, loss: Any, **arguments: Any) -> None:
        self._optimizer = v1.train.SyncReplicasOptimizer(optimizer, REPLICAS, REPLICAS, **arguments)
        step = v1.train.get_or_create_global_step()
        self.train_op = self._optimizer.minimize(loss, global_step=step, name="train")
        self._optimizer.ready_for_local_init_op.mark_used()  # else TensorFlow complains that nobody needs it
        (self.update,) = self._optimizer.get_chief_queue_runner().enqueue_ops
        accumulators = [accumulator for accumulator, _ in self._optimizer._accumulator_list]
        names = {accumulator.accumulator_ref.op.name for accumulator in accumulators}
        operations = v1.get_default_graph().get_operations()
        self.handing_in = [
            op for op in operations if "AccumulatorApplyGradient" in op.type and op.inputs[0].op.name in names
        ]
        with tf.control_dependencies(None):
            self.tokens = self._optimizer.get_init_tokens_op(REPLICAS)
            self.initialize = tf.group(v1.local_variables_initializer(), self._optimizer.chief_init_op)
            self._counts = [accumulator.num_accumulated() for accumulator in accumulators]

    @contextmanager
    def session(self, saver: ads.Saver, *others: SyncTraining) -> Iterator[ads.DistributedSession]:
        """A session that trains nothing by itself, perhaps with other trainings of the same graph."""
        initialize = tf.group(self.initialize, *[other.initialize for other in others])
        scaffold = v1.train.Scaffold(saver=saver, local_init_op=initialize)
        with ads.create_distributed_session(ads.Cluster.single(), saver=saver, scaffold=scaffold) as session:
            yield session

    @contextmanager
    def updating(self, session: v1.Session) -> Iterator[threading.Thread]:
        """An update that waits for gradients, in a thread of its own. At the end it gets all that it needs."""
        thread = threading.Thread(target=session.run, args=(self.update,))
        thread.start()
        try:
            yield thread
        finally:
            if thread.is_alive():
                for _ in range(REPLICAS):
                    self.hand_in(session)
            thread.join()

    def hand_in(self, session: v1.Session) -> None:
        """The gradients of one step, of a replica that has just got a token."""
        session.run(self._optimizer.local_step_init_op)
        session.run(self.handing_in)

    def wait_for_gradients(self, session: v1.Session, *, at_least: int = 0, at_most: int = 1_000_000) -> None:
        """Wait until the gradients of so many steps have been handed in and not been taken."""
        deadline = time.monotonic() + PATIENCE_SECS
        while not all(at_least <= count <= at_most for count in session.run(self._counts)):
            assert time.monotonic() < deadline, f"not between {at_least} and {at_most} gradients"
            time.sleep(0.01)
