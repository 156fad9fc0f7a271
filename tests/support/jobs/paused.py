"""A job that publishes while it trains, until it is told to stop. Run by every task, or alone.

The test leaves ``pause``, the name of a moment of an export: the next export that comes there leaves ``paused`` and
waits as long as ``pause`` is there. In ``steps-TASK`` is a line for every step. The environment holds:

- ``SCHEDULE`` of the hook, as JSON;
- perhaps ``BASE``, the directory of versions;
- ``OPTIONS`` of the session besides :data:`OPTIONS`, and ``SAVER``, those of checkpoints, as JSON;
- ``CHECKPOINTS`` where a lone process writes them, too;
- ``BECOME``, the number of a user.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.pipeline.export import Export
from tests.support.job import leave
from tests.support.jobs.cut import trained_variables

OPTIONS = {"chief_timeout_secs": 60, "worker_timeout_secs": 20}
WORK_SECS = 0.01
LOOK_SECS = 0.02

PHASES = [
    "plan",
    "describe",
    "open",
    "connect",
    "cut",
    "stage",
    "release",
    "stream",
    "discard",
    "graphs",
    "verify",
    "commit",
]
# Within the commit: before the version has its name, before `latest`, before an old version loses its graph, and
# before what is left of it goes.
COMMIT = ["rename", "link", "retention", "removal"]


def pause_where_the_test_wants_it(results: Path) -> None:
    """The phases as the package tells of them; within the commit by what it asks of the operating system."""
    wanted, enter = results / "pause.json", Export._phase

    def come_to(moment: str) -> None:
        if wanted.exists() and json.loads(wanted.read_text()) == moment:
            leave(results, "paused", os.getpid())
            while wanted.exists():
                time.sleep(LOOK_SECS)

    @contextmanager
    def phase(export: Export, name: str) -> Iterator[None]:
        with enter(export, name):
            come_to(name)
            yield

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "ctypes.dlopen" and arguments == (None,):
            come_to("rename")
        elif event == "os.symlink":
            come_to("link")
        elif event == "os.remove" and Path(arguments[0]).name == "saved_model.pb":
            come_to("retention")
        elif event == "os.rename" and Path(arguments[0]).name.isdigit():
            come_to("removal")

    Export._phase = phase  # type: ignore[method-assign]
    sys.addaudithook(watch)


def main(results: Path) -> None:
    logging.basicConfig(level=logging.INFO, force=True)
    v1.disable_eager_execution()
    v1.enable_resource_variables()
    if "BECOME" in os.environ:
        os.setgroups([])
        os.setuid(int(os.environ["BECOME"]))
    cluster = ads.Cluster.from_tf_config()
    options = ads.SessionOptions(**OPTIONS, **json.loads(os.environ.get("OPTIONS", "{}")))
    if cluster.task.type == "ps":
        ads.serve(cluster, options=options)
        return
    pause_where_the_test_wants_it(results)
    has_checkpoints = not cluster.is_single or "CHECKPOINTS" in os.environ
    with tf.Graph().as_default(), cluster.device_scope():
        step = v1.train.get_or_create_global_step()
        train_op, _ = trained_variables(step, synchronous=False)
        saver = ads.Saver(options=ads.ExportOptions(**json.loads(os.environ.get("SAVER", "{}"))))
        hook = ads.ChiefExportHook(
            ads.VersionedTarget(os.environ.get("BASE", results / "base"), retention=ads.Retention(keep=2)),
            saver=saver,
            schedule=ads.ExportSchedule(**json.loads(os.environ["SCHEDULE"])),
        )
        with (
            (results / f"steps-{cluster.task}").open("a", buffering=1) as steps,
            ads.create_distributed_session(
                cluster,
                saver=saver,
                checkpoint_dir=str(results / "checkpoints") if has_checkpoints else None,
                save_checkpoint_secs=1,
                save_summaries_steps=None,
                log_step_count_steps=None,
                hooks=[hook],
                options=options,
            ) as sess,
        ):
            leave(results, f"began-{cluster.task}", int(sess.raw_session().run(step)))
            while not sess.should_stop() and not (results / f"stop-{cluster.task}.json").exists():
                sess.run(train_op)
                steps.write(f"{os.getpid()}\n")
                time.sleep(WORK_SECS)
    leave(results, f"done-{cluster.task}", hook.published)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
