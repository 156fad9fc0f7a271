"""A job that trains with every kind of variable, exports, and tells what it saw. Run by every task."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.support.job import leave

ROWS = 10


def build() -> tuple[tf.Tensor, tf.Tensor, tf.Operation]:
    """Row, column and grid partitions, a resource and a reference variable, with Adam's slots."""
    x = v1.placeholder(tf.int32, [None], name="x")
    ones = v1.random_normal_initializer(seed=7)
    rows = v1.get_variable("rows", [ROWS, 4], partitioner=v1.fixed_size_partitioner(3), initializer=ones)
    columns = v1.get_variable("columns", [4, 5], partitioner=v1.fixed_size_partitioner(2, axis=1), initializer=ones)
    whole = v1.get_variable("whole", [5, 1], initializer=ones, use_resource=False)
    bias = v1.get_variable("part_0", [1], initializer=ones)
    hidden = tf.matmul(tf.nn.embedding_lookup(rows, x), tf.convert_to_tensor(columns))
    y = tf.add(tf.matmul(hidden, whole), bias, name="y")
    loss = tf.reduce_mean(tf.square(y - 3.0), name="loss")
    step = v1.train.get_or_create_global_step()
    return x, y, v1.train.AdamOptimizer(0.01).minimize(loss, global_step=step, name="train")


def main(results: Path) -> None:
    v1.disable_eager_execution()
    v1.enable_resource_variables()
    cluster = ads.Cluster.from_tf_config()
    task = str(cluster.task)
    if cluster.task is not None and cluster.task.type == "ps":
        ads.serve(cluster)
        leave(results, f"served-{task}", True)
        return
    with tf.Graph().as_default() as graph, cluster.device_scope():
        x, y, train_op = build()
        saver = ads.Saver()
        hooks = [v1.train.StopAtStepHook(last_step=60)]
        with ads.create_distributed_session(
            cluster, saver=saver, checkpoint_dir=str(results / "checkpoints"), hooks=hooks
        ) as sess:
            while not sess.should_stop():
                sess.run(train_op, {x: np.arange(ROWS)})
            if cluster.is_chief:
                leave(results, "left-behind", sess.wait_for_workers(60))
                leave(results, "values", sess.raw_session().run(y, {x: np.arange(ROWS)}).ravel().tolist())
                leave(results, "devices", sorted({op.device for op in graph.get_operations()}))
            nodes, collections = len(graph.get_operations()), len(graph.collections)
            builder = ads.SavedModelBuilder(results / "model")
            added = builder.add_meta_graph_and_variables(
                sess,
                ["serve"],
                signature_def_map={"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": y})},
                saver=saver,
                train_op=train_op,
            )
            path = builder.save()
            leave(
                results,
                f"builder-{task}",
                {
                    "added": added,
                    "path": path and path.decode(),
                    "report": builder.report.as_dict(),
                    "graph_grew": len(graph.get_operations()) - nodes + len(graph.collections) - collections,
                },
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
