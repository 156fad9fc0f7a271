"""A job that trains on while it exports with ``verify="full"``. Run by every task.

Every number of ``counter`` is the step, so a signature answers what no other moment does.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.support.job import leave

OPTIONS = ads.SessionOptions(chief_timeout_secs=60, worker_timeout_secs=20)
WORK_SECS = 0.2  # the rest of a step; the fresh process takes what training leaves of the processor
WAYS = [("memory", False), ("parked", False), ("memory", True), ("parked", True), ("auto", True)]


def export(place: Path, session: Any, saver: ads.Saver, signatures: Any, staging: Any, *, serving: bool) -> Any:
    options = ads.ExportOptions(verify="full", staging=staging, keep_staging_memory=serving)
    builder = ads.SavedModelBuilder(place, options=options)
    examples = {"rows": [{"ids": np.arange(64, dtype=np.int32)}]}
    builder.add_meta_graph_and_variables(
        session, ["serve"], signatures, saver=saver, serving=serving, examples=examples
    )
    builder.save()
    return builder.report.as_dict()


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
        ids = v1.placeholder(tf.int32, [None], "ids")
        rows = tf.nn.embedding_lookup(counter, ids)
        total = tf.reduce_sum(tf.convert_to_tensor(counter))
        train_op = v1.train.GradientDescentOptimizer(1.0, use_locking=True).minimize(-total, step)
        predict = v1.saved_model.predict_signature_def
        factor = v1.placeholder(tf.float32, [], "factor")
        signatures = {
            "rows": predict({"ids": ids}, {"rows": rows}),
            "total": predict({"factor": factor}, {"total": total * factor}),
        }
        saver = ads.Saver()
        reports: list[Any] = []

        def export_all() -> None:
            try:
                for number, (staging, serving) in enumerate(WAYS):
                    place = results / f"model-{number}"
                    reports.append(export(place, session, saver, signatures, staging, serving=serving))
            finally:
                leave(results, "exports-ended", reports)

        with ads.create_distributed_session(cluster, saver=saver, options=OPTIONS) as session:
            if cluster.is_chief:
                threading.Thread(target=export_all, daemon=True).start()
            while not session.should_stop() and not (results / "exports-ended.json").exists():
                session.run(train_op)
                time.sleep(WORK_SECS)
    leave(results, f"done-{cluster.task}", True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
