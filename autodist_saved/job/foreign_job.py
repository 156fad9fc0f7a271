"""The job of a session that is not ours: nobody in it passes a gate."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

import tensorflow as tf

from autodist_saved.cluster import Cluster
from autodist_saved.control.gate import Gate
from autodist_saved.cut.cut import Cut, NoCut
from autodist_saved.errors import UsageError
from autodist_saved.job.session_job import SessionJob
from autodist_saved.report.export_history import ExportHistory
from autodist_saved.tf_internals import private_api


class ForeignJob(SessionJob):
    """What the devices of a session, and ``TF_CONFIG``, tell of the tasks that may train on its variables."""

    has_gates = False

    def __init__(self, session: Any) -> None:
        """Looks at nothing yet."""
        self._session = session
        self.gate = Gate()  # nobody closes it
        self.history = ExportHistory()

    @cached_property
    def cluster(self) -> Cluster:
        return Cluster.from_tf_config()

    def cut(self, timeout_secs: float, *, wait: bool = False) -> Cut:
        """None is needed where this process alone trains; else there is no way to stop the others."""
        del timeout_secs, wait
        others = self.workers_training()
        if others == ():
            return NoCut()
        who = "tasks that nobody can name" if others is None else ", ".join(others)
        raise UsageError(
            f"{who} may train on while this session's variables are copied, and nothing can stop them: the model "
            "would hold values of several steps. Make the session with autodist_saved.create_distributed_session() "
            "on every task, instead of tf.compat.v1.Session or MonitoredTrainingSession; or stop the others yourself "
            "and export with ExportOptions(consistency='none')"
        )

    def workers_training(self) -> tuple[str, ...] | None:
        """The tasks that the session reaches, or that ``TF_CONFIG`` names, and that may train."""
        if not self._session.sess_str:
            return ()
        devices = [tf.DeviceSpec.from_string(found.name) for found in self._session.list_devices()]
        reached = {f"{device.job}:{device.task or 0}" for device in devices}
        if "TF_CONFIG" in os.environ:
            reached |= {str(task) for task in self.cluster.tasks}
            reached.discard(str(self.cluster.task))
            return tuple(sorted(_trainers(reached)))
        if private_api.device_filters(self._session):
            return None
        trainers = sorted(_trainers(reached))
        return tuple(trainers) if len(trainers) > 1 else ()


def _trainers(tasks: set[str]) -> set[str]:
    return {task for task in tasks if task.split(":")[0] not in {"ps", "evaluator"}}
