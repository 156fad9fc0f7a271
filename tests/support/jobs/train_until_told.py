"""A job that trains until it is ended from outside. Each task tells when it is under way. Run by every task."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.sources.held_variables import HeldVariables, VariableReader
from autodist_saved.transport.server_variable import ServerVariable
from tests.support.job import leave

WORK_SECS = 0.01  # the rest of a step: four processes share what there is of processors


class ReadBeside(v1.train.SessionRunHook):  # type: ignore[misc]
    """Threads that read a variable, and try again when that fails, as long as the session is open."""

    def after_create_session(self, session: v1.Session, coord: tf.train.Coordinator) -> None:
        variable = v1.train.get_global_step()

        def read() -> None:
            with contextlib.suppress(RuntimeError):  # it is closed
                while True:
                    with contextlib.suppress(tf.errors.OpError):
                        session.run(variable)

        for _ in range(3):
            threading.Thread(target=read, daemon=True).start()


def hold_attaching(results: Path, task: str) -> None:
    """Have a parameter server wait when it is to prepare an export, as long as the test leaves ``hold-TASK``."""
    prepare = HeldVariables.open

    def held(self: HeldVariables, variables: Sequence[ServerVariable]) -> VariableReader:
        while (results / f"hold-{task}.json").exists():
            leave(results, f"held-{task}", os.getpid())
            time.sleep(WORK_SECS)
        return prepare(self, variables)

    HeldVariables.open = held  # type: ignore[method-assign]


def main(results: Path) -> None:
    patience_secs = float(os.environ.get("WORKER_TIMEOUT_SECS", "60"))
    options = ads.SessionOptions(chief_timeout_secs=3, worker_timeout_secs=patience_secs)
    v1.disable_eager_execution()
    cluster = ads.Cluster.from_tf_config()
    task = str(cluster.task)
    if task.startswith("ps"):
        hold_attaching(results, task)
        leave(results, f"pid-{task}", os.getpid())
        ads.serve(cluster, options=options)
        return
    with tf.Graph().as_default(), cluster.device_scope():
        step = v1.train.get_or_create_global_step()
        weight = v1.get_variable("w", [100, 4], partitioner=v1.fixed_size_partitioner(2), use_resource=True)
        loss = tf.reduce_sum(tf.convert_to_tensor(weight) ** 2)
        train_op = v1.train.AdamOptimizer(0.01).minimize(loss, global_step=step)
        never = v1.FIFOQueue(1, tf.int32).dequeue()
        saver = ads.Saver()
        schedule = ads.ExportSchedule(every_secs=0.2, on_error="warn")
        hook = ads.ChiefExportHook(results / "base", saver=saver, schedule=schedule)
        with ads.create_distributed_session(
            cluster,
            saver=saver,
            checkpoint_dir=str(results / "checkpoints"),
            save_checkpoint_steps=50,
            hooks=[hook] if "PUBLISH" in os.environ else [],
            chief_only_hooks=[ReadBeside()] if "READ" in os.environ else [],
            options=options,
        ) as sess:
            steps = 0
            if os.environ.get("BLOCK") == task:
                leave(results, f"pid-{task}", os.getpid())
                sess.run(never)
            while not sess.should_stop() and not (results / f"stop-{task}.json").exists():
                sess.run(train_op)
                time.sleep(WORK_SECS)
                steps += 1
                if steps == 5:
                    leave(results, f"pid-{task}", os.getpid())
                if steps == 20 and cluster.is_chief and "EXPORT" in os.environ:
                    builder = ads.SavedModelBuilder(results / "model")
                    builder.add_meta_graph_and_variables(sess, ["serve"], saver=saver)
                    builder.save()
                    leave(results, "report", builder.report.as_dict())
            if cluster.is_chief:
                leave(results, "step-at-the-end", int(sess.raw_session().run(step)))
                if "FAIL" in os.environ:
                    raise ArithmeticError("the loss is NaN")
    leave(results, f"done-{task}", steps)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
