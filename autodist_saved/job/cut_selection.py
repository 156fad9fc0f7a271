"""The cut that an export of a session takes."""

from __future__ import annotations

import os

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster
from autodist_saved.cut.cut import Cut, NoCut
from autodist_saved.errors import UsageError
from autodist_saved.job.gated_session import GatedSession
from autodist_saved.options import ExportOptions
from autodist_saved.tf_internals import private_api


def cut_of(session: v1.Session, options: ExportOptions) -> Cut:
    """The cut of the job that a plain session belongs to.

    A session of ours has its job's. Any other one is its own cut where nobody else can train on what it reaches.

    Raises:
        UsageError: somebody else can, and has no gate.
    """
    if options.consistency == "none":
        return NoCut(lambda: _others(session))
    if isinstance(session, GatedSession):
        return session.job.cut(options.cut_timeout_secs, wait=options.when_busy == "wait")
    others = _others(session)
    if others is None or others:
        who = "tasks that nobody can name" if others is None else ", ".join(others)
        raise UsageError(
            f"{who} may train on while this session's variables are copied, and nothing can stop them: the model "
            "would hold values of several steps. Make the session with autodist_saved.create_distributed_session() "
            "on every task, instead of tf.compat.v1.Session or MonitoredTrainingSession; or stop the others yourself "
            "and export with ExportOptions(consistency='none')"
        )
    return NoCut()


def _others(session: v1.Session) -> tuple[str, ...] | None:
    """The tasks besides this one that may train on what a session reaches; None where nobody can know."""
    if isinstance(session, GatedSession):
        return session.job.workers_training()
    if not session.sess_str:
        return ()
    reached = {
        f"{device.job}:{device.task or 0}"
        for device in (tf.DeviceSpec.from_string(found.name) for found in session.list_devices())
    }
    if "TF_CONFIG" in os.environ:
        cluster = Cluster.from_tf_config()
        reached |= {str(task) for task in cluster.tasks}
        reached.discard(str(cluster.task))
        return tuple(sorted(_trainers(reached)))
    if private_api.device_filters(session):
        return None
    trainers = sorted(_trainers(reached))
    return tuple(trainers) if len(trainers) > 1 else ()


def _trainers(tasks: set[str]) -> set[str]:
    return {task for task in tasks if task.split(":")[0] not in {"ps", "evaluator"}}
