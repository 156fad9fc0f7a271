"""A job that publishes while it trains, until it is ended from outside. Run by every task."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.support.job import leave

WORK_SECS = 0.01  # the rest of a step: four processes share what there is of processors
OPTIONS = ads.SessionOptions(chief_timeout_secs=10, worker_timeout_secs=20)


def main(results: Path) -> None:
    v1.disable_eager_execution()
    v1.enable_resource_variables()
    cluster = ads.Cluster.from_tf_config()
    if cluster.task.type == "ps":
        ads.serve(cluster, options=OPTIONS)
        return
    with tf.Graph().as_default(), cluster.device_scope():
        step = v1.train.get_or_create_global_step()
        counter = v1.get_variable(
            "counter", [64, 8], partitioner=v1.fixed_size_partitioner(2), initializer=v1.zeros_initializer()
        )
        numbers = tf.identity(tf.convert_to_tensor(counter), "numbers")
        train_op = v1.train.GradientDescentOptimizer(1.0, use_locking=True).minimize(-tf.reduce_sum(numbers), step)
        saver = ads.Saver()
        hook = ads.ChiefExportHook(
            os.environ.get("EXPORT_BASE", results / "base"),
            saver=saver,
            schedule=ads.ExportSchedule(every_secs=0.5),
            train_op=train_op,
        )
        with ads.create_distributed_session(cluster, saver=saver, hooks=[hook], options=OPTIONS) as sess:
            leave(results, f"training-{cluster.task}", os.getpid())
            while not sess.should_stop() and not (results / "stop.json").exists():
                sess.run(train_op)
                time.sleep(WORK_SECS)
    leave(results, f"done-{cluster.task}", hook.published)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
