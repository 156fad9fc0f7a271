"""A model most of which is one big table, and whose training steps are short."""

from __future__ import annotations

import tensorflow as tf
import tensorflow.compat.v1 as v1

from benchmarks.memory import MIB

COLUMNS = 256
LOOKED_UP = 256
ROW_BYTES = 4 * COLUMNS


def build(mib: int, parameter_servers: int, update: str) -> tf.Operation:
    """The train op on ``mib`` MiB of float32. Every step looks up some rows of the table at random.

    ``sparse`` trains these rows, and those of the table's slot, which is half of the model. ``dense`` trains a layer
    instead, a sixteenth of the model with its slot, all of which changes in every step.
    """
    rows = mib * MIB // ROW_BYTES
    layer_rows = rows // 32 if update == "dense" else 0
    table_rows = rows // 2 if update == "sparse" else rows - 2 * layer_rows
    # TensorFlow's plain saver sends pieces as they are, and a message of gRPC ends at 2 GiB.
    partitioner = v1.fixed_size_partitioner(parameter_servers * max(1, mib // 1024))
    ones = v1.ones_initializer()
    table = v1.get_variable(
        "table", [table_rows, COLUMNS], initializer=ones, partitioner=partitioner, trainable=update == "sparse"
    )
    ids = tf.random.uniform([LOOKED_UP], maxval=table_rows, dtype=tf.int64)
    losses = [tf.reduce_mean(v1.nn.embedding_lookup(table, ids, "div") ** 2)]
    if layer_rows:
        for part in v1.get_variable("layer", [layer_rows, COLUMNS], initializer=ones, partitioner=partitioner):
            with v1.colocate_with(part):  # the layer should cost the step memory, not network
                losses.append(tf.reduce_mean(part**2))
    return v1.train.AdagradOptimizer(0.1).minimize(
        tf.add_n(losses), v1.train.get_or_create_global_step(), colocate_gradients_with_ops=True
    )
