"""Where TensorFlow places the ops of a model: variables over the parameter servers, all else on the task."""

from __future__ import annotations

import contextlib

import tensorflow as tf

from autodist_saved.errors import UsageError


class ByBytes:
    """Gives each variable to the parameter server that has the fewest bytes so far; the lowest one of equals.

    A ``ps_strategy`` for ``tf.compat.v1.train.replica_device_setter``, which calls it once for each op that
    belongs on a parameter server, in the order in which the graph is built. The pieces of a partitioned
    variable are ops of their own. Equal graphs built in the same order are placed equally, on every task.

    Ops whose bytes cannot be known beforehand (strings, open shapes, tables) take turns. Optimizer slots
    do not come here: TensorFlow keeps each beside the piece it belongs to.

    Attributes:
        held_bytes: bytes given to each parameter server so far, by its index.
    """

    def __init__(self, ps_count: int) -> None:
        self.held_bytes = [0] * ps_count
        self._turn = 0

    def __call__(self, op: tf.Operation) -> int:
        """The index of the parameter server for ``op``."""
        nbytes = _variable_bytes(op)
        # A device the user asked for prevails over the one returned, so that is where the bytes go.
        asked = tf.DeviceSpec.from_string(op.device).task
        if asked is not None and asked < len(self.held_bytes):
            index: int = asked
        elif nbytes == 0:
            index = self._turn
            self._turn = (index + 1) % len(self.held_bytes)
        else:
            index = self.held_bytes.index(min(self.held_bytes))
        self.held_bytes[index] += nbytes
        return index


def placed(own_device: str, ps_count: int) -> contextlib.AbstractContextManager[None]:
    """The scope behind ``Cluster.device_scope``, which says when to use it.

    Each call begins to count bytes anew, so one graph wants one scope.

    Args:
        own_device: device of the task that builds the graph, such as ``/job:worker/task:1``.
        ps_count: number of parameter servers; with none, the variables are placed on the task too.

    Raises:
        UsageError: there is no graph to place ops in.
    """
    if tf.executing_eagerly():
        raise UsageError(
            "device_scope() was entered outside a graph; write\n"
            "    with tf.Graph().as_default(), cluster.device_scope():"
        )
    device = own_device
    if ps_count:
        device = tf.compat.v1.train.replica_device_setter(
            ps_tasks=ps_count, ps_device="/job:ps", worker_device=own_device, ps_strategy=ByBytes(ps_count)
        )
    scope: contextlib.AbstractContextManager[None] = tf.compat.v1.device(device)
    return scope


def _variable_bytes(op: tf.Operation) -> int:
    """Bytes of the variable that ``op`` makes; 0 where they are not known beforehand."""
    try:
        shape, dtype = tf.TensorShape(op.get_attr("shape")), tf.as_dtype(op.get_attr("dtype"))
    except ValueError:  # A table has neither.
        return 0
    elements = shape.num_elements()
    return 0 if elements is None else int(elements) * int(dtype.size)
