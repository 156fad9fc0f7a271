"""Where TensorFlow places the ops of a model: variables on the parameter servers, all others on the task."""

from __future__ import annotations

import contextlib

import tensorflow as tf

from autodist_saved.errors import UsageError


class ByBytes:
    """Gives each variable to the parameter server with the fewest bytes so far, of equals to the lowest index.

    A ``ps_strategy`` for ``tf.compat.v1.train.replica_device_setter``, which calls it once for each op that
    belongs on a parameter server, in the order in which the graph is built. The pieces of a partitioned
    variable are ops of their own. Equal graphs built in the same order are placed equally, on every task.

    Ops of unknown size (strings, open shapes, tables) go to one server after the other. Optimizer slots do not
    come here: TensorFlow places each beside its piece.

    Attributes:
        held_bytes: bytes that each parameter server has so far, by its index.
    """

    def __init__(self, ps_count: int) -> None:
        self.held_bytes = [0] * ps_count
        self._turn = 0

    def __call__(self, op: tf.Operation) -> int:
        """The index of the parameter server for ``op``."""
        nbytes = _variable_bytes(op)
        # TensorFlow prefers a device that the user asked for to the one returned here, so the bytes go there.
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
    """The scope of ``Cluster.device_scope``, which says when to use it.

    Each call counts bytes from zero, so a graph needs exactly one scope.

    Args:
        own_device: device of the task that builds the graph, such as ``/job:worker/task:1``.
        ps_count: number of parameter servers. With 0, variables go to the task too.

    Raises:
        UsageError: TensorFlow runs eagerly, so there is no graph.
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
    """Bytes of the variable that ``op`` creates; 0 if TensorFlow does not know them yet."""
    try:
        shape, dtype = tf.TensorShape(op.get_attr("shape")), tf.as_dtype(op.get_attr("dtype"))
    except ValueError:  # A table has neither.
        return 0
    elements = shape.num_elements()
    return 0 if elements is None else int(elements) * int(dtype.size)
