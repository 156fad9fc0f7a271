"""A model in which every element of every variable is the number of steps that are in it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from benchmarks.memory import MIB

VARIABLES = 64
COLUMNS = 64


class Counting(v1.train.Optimizer):  # type: ignore[misc]
    """Adds its gradient to variable and slot alike, under the variable's lock: exact whoever else adds to it."""

    def __init__(self) -> None:
        super().__init__(use_locking=True, name="Counting")

    def _create_slots(self, var_list: list[tf.Variable]) -> None:
        for variable in var_list:
            self._zeros_slot(variable, "count", self._name)

    def _apply_dense(self, grad: tf.Tensor, var: tf.Variable) -> tf.Operation:
        counts = (var, self.get_slot(var, "count"))
        return tf.group(*(v1.assign_add(count, tf.fill(count.shape, grad), use_locking=True) for count in counts))

    def _resource_apply_dense(self, grad: tf.Tensor, handle: Any) -> tf.Operation:
        return self._apply_dense(grad, handle)


def build(mib: float, partitions: int) -> tf.Operation:
    """The train op on ``VARIABLES`` variables and as many slots, ``mib`` MiB of float64 in all.

    They are of all the kinds that are updated and staged in different ways: resource and reference variables, those
    that embeddings are looked up in (TensorFlow copies these on every read), partitioned by rows and by columns, and
    of different sizes.
    """
    step = v1.train.get_or_create_global_step()
    rows = max(partitions, int(mib * MIB) // (2 * VARIABLES * COLUMNS * 8))
    looked_up = []
    for number in range(VARIABLES):
        axis = {0: 0, 1: 1}.get(number % 8)
        variable = v1.get_variable(
            f"v{number}",
            [rows // 2 + rows * (number % 5) // 4 + 1, COLUMNS],
            tf.float64,
            initializer=v1.zeros_initializer(),
            partitioner=None if axis is None else v1.fixed_size_partitioner(partitions, axis),
            use_resource=number % 8 != 7,
        )
        if number % 8 in {0, 2, 3}:
            looked_up.append(v1.nn.embedding_lookup(variable, [0], "div"))
    one = tf.ones([], tf.float64)
    with tf.control_dependencies(looked_up):
        return Counting().apply_gradients([(one, variable) for variable in v1.trainable_variables()], step)
