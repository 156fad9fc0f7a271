"""The hook that writes the chief's checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import ExportError, JobError
from autodist_saved.job.job_of import job_of

log = logging.getLogger(__name__)


class CheckpointHook(v1.train.CheckpointSaverHook):  # type: ignore[misc]
    """TensorFlow's hook, except that a checkpoint which cannot be one moment of the job does not end the training.

    The hook then logs an error and writes no checkpoint, also for the first one of a session. The next one is due
    after the usual time. The last one, at the end of the session, raises.
    """

    def after_create_session(self, session: v1.Session, coord: tf.train.Coordinator) -> None:
        """Called by the session."""
        with _leaving_out():
            super().after_create_session(session, coord)

    def after_run(self, run_context: v1.train.SessionRunContext, run_values: Any) -> None:
        """Called by the session. Within a step of several runs it waits for the end of that step."""
        gate = job_of(run_context.session).gate
        if gate.is_inside:
            gate.after_step(self, lambda: self.after_run(run_context, run_values))
            return
        with _leaving_out():
            super().after_run(run_context, run_values)


@contextmanager
def _leaving_out() -> Iterator[None]:
    try:
        yield
    except (ExportError, JobError) as error:
        log.error("no checkpoint was written this time: %s", error)  # noqa: TRY400 - it tells all there is
