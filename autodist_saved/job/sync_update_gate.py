"""The update gate: a synchronous update becomes a step only when it has all gradients.

The chief's update thread of ``SyncReplicasOptimizer`` spends most of its time in runs that wait for gradients. If
such a run were a step from its beginning, no cut could succeed while a gradient is missing: not while the chief
exports, and not after the workers have finished.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import numpy as np
import tensorflow as tf

from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import producers, walk
from autodist_saved.tf_internals.op_types import ENQUEUES_OF_MANY, GRADIENT_TAKES


class UpdateGate:
    """The gate of one update. An op between taking gradients and applying them passes it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._stack: ExitStack | None = None
        self._step: AbstractContextManager[None] | None = None

    @contextmanager
    def passing(self, step: AbstractContextManager[None]) -> Iterator[None]:
        """A context for a run of the update. The run enters this step when it has its gradients."""
        with self._turn, ExitStack() as stack:
            self._stack, self._step = stack, step
            try:
                yield
            finally:
                self._stack = self._step = None

    def pass_through(self) -> np.int64:
        """Enter the step, and wait while a cut lasts. The op calls it, in a thread of TensorFlow's."""
        stack, step = self._stack, self._step
        self._step = None
        if stack is not None and step is not None:
            stack.enter_context(step)
        return np.int64(0)


_gates: weakref.WeakKeyDictionary[tf.Graph, dict[tf.Operation, UpdateGate]] = weakref.WeakKeyDictionary()


def update_gates(graph: tf.Graph) -> dict[tf.Operation, UpdateGate]:
    """The gates of a graph by their ops."""
    return _gates.get(graph, {})


def put_update_gates(graph: tf.Graph) -> None:
    """Give every synchronous update of a graph one gate.

    Call it before the graph's first session, in a scope of :func:`autodist_saved.tf_internals.name_scope.own_scope`.
    """
    operations = graph.get_operations()
    if not any(operation.type in GRADIENT_TAKES for operation in operations):
        return
    gates = _gates.setdefault(graph, {})
    gated = {take for op in gates for take in op.control_inputs}
    # An update ends when it hands out tokens: with these the replicas go on.
    for end in (operation for operation in operations if operation.type in ENQUEUES_OF_MANY):
        takes = [op for op in walk([end], producers) if op.type in GRADIENT_TAKES]
        if not takes or not gated.isdisjoint(takes):
            continue
        gated.update(takes)
        gate = UpdateGate()
        with tf.control_dependencies(takes):
            op = tf.numpy_function(gate.pass_through, [], tf.int64, name="update_gate").op
        gates[op] = gate
        for taker in {taker for take in takes for tensor in take.outputs for taker in tensor.consumers()}:
            private_api.add_control_input(taker, op)
