"""Session creators that wait for other tasks where the wait can be ended."""

from __future__ import annotations

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import TaskUnreachableError
from autodist_saved.job.gated_session import GatedSession
from autodist_saved.job.job import Job
from autodist_saved.options import SessionOptions


class WorkerCreator(v1.train.SessionCreator):  # type: ignore[misc]
    """As TensorFlow's ``WorkerSessionCreator``, but asks every second whether the chief is ready, not every 30 s."""

    def __init__(
        self, scaffold: v1.train.Scaffold, target: str, config: v1.ConfigProto, options: SessionOptions
    ) -> None:
        self._scaffold = scaffold
        self._target = target
        self._config = config
        self._wait_secs = int(options.start_timeout_secs) + 1

    def create_session(self) -> v1.Session:
        self._scaffold.finalize()
        manager = v1.train.SessionManager(
            local_init_op=self._scaffold.local_init_op,
            ready_op=self._scaffold.ready_op,
            ready_for_local_init_op=self._scaffold.ready_for_local_init_op,
            graph=v1.get_default_graph(),
            recovery_wait_secs=1,
            local_init_feed_dict=self._scaffold.local_init_feed_dict,
        )
        try:
            return manager.wait_for_session(self._target, config=self._config, max_wait_secs=self._wait_secs)
        except tf.errors.DeadlineExceededError as error:
            raise TaskUnreachableError(
                f"the chief did not initialize the variables within {self._wait_secs} s; see the chief's own output, "
                "build the same graph on every task, or raise start_timeout_secs"
            ) from error


class GatedSessionCreator(v1.train.SessionCreator):  # type: ignore[misc]
    """Makes sessions with the job's gate in them, once all parameter servers answer, also after a failure.

    TensorFlow itself would wait for parameter servers inside a call that nothing can end.
    """

    def __init__(self, creator: v1.train.SessionCreator, job: Job) -> None:
        self._creator = creator
        self._job = job

    def create_session(self) -> v1.Session:
        self._job.wait_for_parameter_servers()
        if self._job.is_over():
            raise tf.errors.OutOfRangeError(None, None, "the job is over")
        session = self._creator.create_session()
        self._job.require_word()
        return GatedSession.adopt(session, self._job)
