"""The model: an embedding per feature, two dense layers, one probability. Plain graph-mode TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from examples.flight_delays.data import FEATURES, Flights

LARGE_TABLES = ("tailnum", "dest")
LARGE_WIDTH, SMALL_WIDTH = 16, 4
HIDDEN_WIDTH = 32
LEARNING_RATE = 0.001


@dataclass(frozen=True)
class Model:
    """Tensors and ops of the graph the model was built in.

    Attributes:
        inputs: placeholder of each feature, int32 [batch].
        late: placeholder of the label, int32 [batch].
        probability: of being late, float32 [batch].
        loss: mean cross entropy, float32 [].
        train_op: one step of Adam; returns nothing.
        global_step: steps of all trainers together, int64 [].
    """

    inputs: dict[str, tf.Tensor]
    late: tf.Tensor
    probability: tf.Tensor
    loss: tf.Tensor
    train_op: tf.Operation
    global_step: tf.Variable

    def feed(self, flights: Flights) -> dict[tf.Tensor, Any]:
        """What ``session.run`` is fed for these flights."""
        return {self.late: flights.late} | {self.inputs[name]: flights.features[name] for name in FEATURES}

    def signatures(self) -> dict[str, Any]:
        """``serving_default`` for who asks, ``evaluate`` for who measures or goes on training."""
        predict = tf.compat.v1.saved_model.predict_signature_def
        return {
            "serving_default": predict(self.inputs, {"probability": self.probability}),
            "evaluate": predict({**self.inputs, "late": self.late}, {"loss": self.loss}),
        }


def build_model(vocabulary_sizes: Mapping[str, int], partitions: int = 1) -> Model:
    """Add the model to the default graph.

    Args:
        vocabulary_sizes: number of ids of each feature.
        partitions: pieces that the large tables are cut into, by rows; one for each parameter server.
    """
    v1 = tf.compat.v1
    inputs = {name: v1.placeholder(tf.int32, [None], name) for name in FEATURES}
    late = v1.placeholder(tf.int32, [None], "late")

    embeddings = [_embedding(name, inputs[name], vocabulary_sizes[name], partitions) for name in FEATURES]
    hidden = tf.nn.relu(_dense("hidden", tf.concat(embeddings, axis=1), HIDDEN_WIDTH))
    logit = tf.squeeze(_dense("logit", hidden, 1), axis=1)

    loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(late, tf.float32), logit))
    global_step = v1.train.get_or_create_global_step()
    train_op = v1.train.AdamOptimizer(LEARNING_RATE).minimize(loss, global_step)
    return Model(inputs, late, tf.sigmoid(logit, name="probability"), loss, train_op, global_step)


def _embedding(feature: str, ids: tf.Tensor, rows: int, partitions: int) -> tf.Tensor:
    large = feature in LARGE_TABLES
    table = tf.compat.v1.get_variable(
        f"{feature}_embedding",
        [rows, LARGE_WIDTH if large else SMALL_WIDTH],
        initializer=tf.compat.v1.random_normal_initializer(stddev=0.05),
        partitioner=tf.compat.v1.fixed_size_partitioner(partitions) if large and partitions > 1 else None,
    )
    # "div": piece after piece holds the rows in order, as in the whole table.
    return tf.compat.v1.nn.embedding_lookup(table, ids, partition_strategy="div")


def _dense(name: str, layer: tf.Tensor, width: int) -> tf.Tensor:
    kernel = tf.compat.v1.get_variable(f"{name}/kernel", [layer.shape[1], width])
    bias = tf.compat.v1.get_variable(f"{name}/bias", [width], initializer=tf.compat.v1.zeros_initializer())
    return layer @ kernel + bias
