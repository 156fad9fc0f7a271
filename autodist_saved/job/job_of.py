"""Which job a process and its sessions belong to. Only this module distinguishes the kinds of jobs."""

from __future__ import annotations

import os
from typing import Any

from autodist_saved.cluster import Cluster
from autodist_saved.job.foreign_job import ForeignJob
from autodist_saved.job.session_job import SessionJob
from autodist_saved.job.tensorflow_server import runs_tensorflow_server


def job_of(session: Any) -> SessionJob:
    """The job that a session, monitored or plain, belongs to."""
    job = getattr(session, "job", None)
    return job if isinstance(job, SessionJob) else ForeignJob(session)


def is_certainly_chief(cluster: Cluster | None) -> bool:
    """Whether this is the chief for all that is known before there is a session; a given ``cluster`` wins."""
    if cluster is None and "TF_CONFIG" not in os.environ and runs_tensorflow_server():
        return False
    return (cluster or Cluster.from_tf_config()).is_chief
