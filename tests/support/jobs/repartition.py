"""A job that restores what an earlier one on another number of parameter servers has saved, and saves it again."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads

ROWS, COLUMNS = 600, 500  # more than a megabyte, so that pieces of it travel row by row


def grid(parts: int, initializer: v1.Initializer) -> list[v1.Variable]:
    """One logical variable in ``parts`` by 2 pieces, which no partitioner of TensorFlow makes."""
    pieces = []
    rows = np.linspace(0, ROWS, parts + 1, dtype=int).tolist()
    columns = [0, COLUMNS // 3, COLUMNS]
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            shape = [bottom - top, right - left]
            piece = v1.get_variable(f"grid/{top}_{left}", shape, initializer=initializer)
            piece._set_save_slice_info(tf.Variable.SaveSliceInfo("grid", [ROWS, COLUMNS], [top, left], shape))
            pieces.append(piece)
    return pieces


def main(results: Path) -> None:
    v1.disable_eager_execution()
    v1.enable_resource_variables()
    cluster = ads.Cluster.from_tf_config()
    if str(cluster.task).startswith("ps"):
        ads.serve(cluster)
        return
    parts = len(cluster.addresses["ps"])
    with tf.Graph().as_default(), cluster.device_scope():
        normal = v1.random_normal_initializer(seed=1)
        rows = v1.get_variable(
            "rows", [ROWS, COLUMNS], initializer=normal, partitioner=v1.fixed_size_partitioner(parts)
        )
        columns = v1.get_variable(
            "columns", [ROWS, COLUMNS], initializer=normal, partitioner=v1.fixed_size_partitioner(parts, axis=1)
        )
        pieces = [*rows, *columns, *grid(parts, normal)]
        loss = tf.add_n([tf.reduce_sum(piece**2) for piece in pieces])
        step = v1.train.get_or_create_global_step()
        train_op = v1.train.AdamOptimizer(0.1).minimize(loss, global_step=step)
        saver = ads.Saver()
        with ads.create_distributed_session(cluster, saver=saver) as sess:
            if "RESTORE" in os.environ:
                saver.restore(sess, os.environ["RESTORE"])
            else:
                for _ in range(3):
                    sess.run(train_op)
            saver.save(sess, str(results / "model"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
