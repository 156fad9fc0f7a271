"""What the tasks of a benchmark's job have in common."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow.compat.v1 as v1

import autodist_saved as ads

_LOOK_SECS = 0.05


def take_part() -> ads.Cluster | None:
    """The job's cluster, on the chief and the workers. A parameter server serves until the job is over: None."""
    v1.disable_eager_execution()
    v1.enable_resource_variables()
    cluster = ads.Cluster.from_tf_config()
    if cluster.task is not None and cluster.task.type == "ps":
        ads.serve(cluster)
        return None
    return cluster


@contextmanager
def workers_training(sess: v1.train.MonitoredSession, over: Path) -> Iterator[None]:
    """On the chief: a block within which all workers train. They stop when they see the file ``over``."""
    workers = sum(task.type == "worker" and task != sess.cluster.chief for task in sess.cluster.tasks)
    while len(sess.workers_training()) < workers:
        time.sleep(_LOOK_SECS)
    try:
        yield
    finally:
        over.touch()
