"""A job with row-, column- and grid-partitioned tables, trained with Adam, that exports to train and to serve."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.support.job import leave
from tests.support.served import grid

ROWS, WIDTH, STEPS = 1000, 16, 10
IDS = np.arange(0, ROWS, 7, dtype=np.int32)


def build() -> tuple[tf.Tensor, tf.Tensor, tf.Operation]:
    x = v1.placeholder(tf.int32, [None], name="x")
    normal = v1.random_normal_initializer(seed=7)
    rows = v1.get_variable("rows", [ROWS, WIDTH], None, normal, partitioner=v1.fixed_size_partitioner(3))
    columns = v1.get_variable(
        "columns", [WIDTH, WIDTH], None, normal, partitioner=v1.fixed_size_partitioner(4, axis=1)
    )
    array = np.random.default_rng(7).normal(size=[ROWS, WIDTH]).astype(np.float32)
    pieces = grid("grid", array, [300, 701], [5])
    squares = tf.concat([tf.concat(row, 1) for row in pieces], 0)
    neighbours = v1.get_variable("neighbours", [ROWS], None, normal, partitioner=v1.fixed_size_partitioner(2))
    found = tf.nn.embedding_lookup(rows, x) * v1.nn.embedding_lookup(neighbours, x, "div")[:, None]
    hidden = tf.matmul(found, tf.convert_to_tensor(columns)) + tf.gather(squares, x)
    y = tf.reduce_sum(tf.nn.relu(hidden), 1, name="y")
    step = v1.train.get_or_create_global_step()
    loss = tf.reduce_mean(tf.square(y - 1.0))
    return x, y, v1.train.AdamOptimizer(0.01).minimize(loss, global_step=step)


def main(results: Path) -> None:
    v1.disable_eager_execution()
    cluster = ads.Cluster.from_tf_config()
    if cluster.task is not None and cluster.task.type == "ps":
        ads.serve(cluster)
        return
    with tf.Graph().as_default() as graph, cluster.device_scope():
        x, y, train_op = build()
        saver = ads.Saver()
        with ads.create_distributed_session(cluster, saver=saver) as sess:
            for _ in range(STEPS):
                sess.run(train_op, {x: IDS})
            leave(results, "answers", sess.raw_session().run(y, {x: IDS}).tolist())
            leave(results, "devices", sorted({op.device for op in graph.get_operations()}))
            signatures = {"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": y})}
            builder = ads.SavedModelBuilder(results / "both")
            builder.add_meta_graph_and_variables(sess, ["train"], signatures, saver=saver, train_op=train_op)
            builder.add_meta_graph(["serve"], signatures, saver=saver, serving=True)
            builder.save()
            builder = ads.SavedModelBuilder(results / "served")
            builder.add_meta_graph_and_variables(sess, ["serve"], signatures, saver=saver, serving=True)
            builder.save()
            leave(results, "report", builder.report.as_dict())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
