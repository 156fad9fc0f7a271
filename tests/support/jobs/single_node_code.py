"""Code for a single node in a scope, a saver, a session and a builder: AutoDist's way of use. Run by every task."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.support.job import leave

WORDS = ["late", "early"]


def single_node_code(words: Path) -> tuple[tf.Tensor, tf.Tensor, tf.Operation]:
    """Words from a file, their weights, a function of these, and what trains them."""
    x = v1.placeholder(tf.string, [None], "x")
    whole_line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    lines = tf.lookup.TextFileInitializer(str(words), tf.string, whole_line, tf.int64, number)
    ids = tf.lookup.StaticHashTable(lines, 0).lookup(x)
    weights = v1.get_variable("weights", [len(WORDS), 3], initializer=v1.random_normal_initializer(seed=3))
    bias = v1.get_variable("bias", [3], initializer=v1.ones_initializer())

    @tf.function
    def loss_of(rows: tf.Tensor) -> tf.Tensor:
        return tf.cond(tf.size(rows) > 0, lambda: tf.reduce_mean(tf.square(rows - 3.0)), lambda: 0.0)

    y = tf.add(tf.nn.embedding_lookup(weights, ids), bias, name="y")
    loss = tf.identity(loss_of(y), "loss")
    step = v1.train.get_or_create_global_step()
    return x, y, v1.train.AdamOptimizer(0.1).minimize(loss, step)


def main(results: Path) -> None:
    cluster = ads.Cluster.from_tf_config()
    if cluster.task is not None and cluster.task.type == "ps":
        ads.serve(cluster)
        return
    words = results / "words.txt"
    words.write_text("\n".join(WORDS))
    with tf.Graph().as_default(), cluster.device_scope():
        x, y, train_op = single_node_code(words)
        main_op = v1.tables_initializer()
        assets = v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)
        saver = ads.Saver()
        builder = ads.SavedModelBuilder(results / "model")
        with ads.create_distributed_session(cluster, saver=saver) as session:
            for _ in range(10):
                session.run(train_op, {x: WORDS})
            leave(results, "values", session.run(y, {x: WORDS}).tolist())
            signatures = {"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": y})}
            builder.add_meta_graph_and_variables(
                session, ["train"], signatures, assets, main_op=main_op, saver=saver, train_op=train_op
            )
            builder.add_meta_graph(["serve"], signatures, assets_list=assets, init_op=main_op)
            builder.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
