"""Which job a session belongs to. Only this module distinguishes the kinds of jobs."""

from __future__ import annotations

from typing import Any

from autodist_saved.job.foreign_job import ForeignJob
from autodist_saved.job.session_job import SessionJob


def job_of(session: Any) -> SessionJob:
    """The job that a session, monitored or plain, belongs to."""
    job = getattr(session, "job", None)
    return job if isinstance(job, SessionJob) else ForeignJob(session)
