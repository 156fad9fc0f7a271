"""TensorFlow's own sessions become sessions of a job, where a gate of this process can stop all who train."""

from __future__ import annotations

import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster
from autodist_saved.job.gated_session import GatedSession
from autodist_saved.job.job import Job
from autodist_saved.job.job_of import job_of
from autodist_saved.job.session_job import SessionJob
from autodist_saved.job.sync_waits import check_sync_waits
from autodist_saved.options import SessionOptions


def gated_job_of(session: v1.Session, cluster: Cluster) -> SessionJob:
    """The job of a plain session whose program exports while it trains. Called before the session's first step.

    A step has to end before its variables are copied. So TensorFlow's own session of one process gets a gate here.
    Its session of a cluster gets none: a gate of this process stops no other task.

    Args:
        session: a plain session.
        cluster: of the session.

    Raises:
        UsageError: no cut could stop the synchronous training of its graph.
    """
    job = job_of(session)
    if job.has_gates or session.sess_str:
        return job
    check_sync_waits(session.graph)
    return GatedSession.adopt(session, Job(cluster, SessionOptions())).job
