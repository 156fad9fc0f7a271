"""Session creators that wait for other tasks where the wait can be ended."""

from __future__ import annotations

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import TaskUnreachableError
from autodist_saved.job.gated_session import GatedSession
from autodist_saved.job.job import Job
from autodist_saved.options import SessionOptions
from autodist_saved.system.deadline import Deadline
from autodist_saved.tf_internals.name_scope import own_scope

_ASK_SECS = 1.0


class WorkerCreator(v1.train.SessionCreator):  # type: ignore[misc]
    """As TensorFlow's ``WorkerSessionCreator``, but asks every second whether the chief is ready, not every 30 s.

    In between it looks whether the job is over, or this task was told to end.
    """

    def __init__(
        self, scaffold: v1.train.Scaffold, target: str, config: v1.ConfigProto, job: Job, options: SessionOptions
    ) -> None:
        self._scaffold = scaffold
        self._target = target
        self._config = config
        self._job = job
        self._wait_secs = options.start_timeout_secs

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
        deadline = Deadline(self._wait_secs, lambda: f"{self._job.cluster.task} waits for the chief's variables")
        while True:
            try:
                return manager.wait_for_session(self._target, config=self._config, max_wait_secs=0)  # it asks once
            except tf.errors.DeadlineExceededError as error:
                if deadline.is_over():
                    raise TaskUnreachableError(
                        f"the chief did not initialize the variables within {self._wait_secs:g} s; see the chief's "
                        "own output, build the same graph on every task, or raise start_timeout_secs"
                    ) from error
            if self._job.wait_until_over(_ASK_SECS):
                raise _job_over()


class GatedSessionCreator(v1.train.SessionCreator):  # type: ignore[misc]
    """Makes sessions with the job's gate in them, once all parameter servers answer, also after a failure.

    TensorFlow itself would wait for parameter servers inside a call that nothing can end. On the chief, nobody trains
    while the variables are restored, or get their first values.
    """

    def __init__(self, creator: v1.train.SessionCreator, job: Job, *, on_chief: ChiefStart | None = None) -> None:
        """``on_chief`` tells, on the chief of a cluster, whether the job trains already."""
        self._creator = creator
        self._job = job
        self._on_chief = on_chief

    def create_session(self) -> v1.Session:
        self._job.wait_for_parameter_servers()
        if self._job.is_over():
            raise _job_over()
        if self._on_chief is None:
            session = self._creator.create_session()
            self._job.require_word()
            return GatedSession.adopt(session, self._job)
        made: list[GatedSession] = []

        def restore() -> None:
            for session in made:
                session.close()
            made[:] = [GatedSession.adopt(self._creator.create_session(), self._job)]

        self._job.at_rest(restore, strangers_train=self._on_chief.may_train())
        return made[0]


class ChiefStart:
    """What a chief finds when it makes a session: parameter servers without values, or a job that trains.

    A job may train already because its chief is another process than before, or because a session is made anew.
    """

    def __init__(self, target: str, config: v1.ConfigProto | None) -> None:
        """Adds ops to the default graph. If that is final, a job may always train.

        Args:
            target: of the session.
            config: of the session.
        """
        self._target = target
        self._config = config
        self._graph = v1.get_default_graph()
        self._has_values: tf.Tensor | None = None
        if not self._graph.finalized:
            # A parameter server that has just started has no values at all, so one variable of each tells.
            one_of_each = {variable.device: variable for variable in v1.global_variables()}.values()
            with own_scope():
                has_values = [tf.zeros([], tf.bool), *map(v1.is_variable_initialized, one_of_each)]
                self._has_values = tf.reduce_any(tf.stack(has_values))

    def may_train(self) -> bool:
        """Whether a parameter server has values, with which a worker may train."""
        if self._has_values is None:
            return True
        with v1.Session(self._target, graph=self._graph, config=self._config) as session:
            return bool(session.run(self._has_values))


def _job_over() -> tf.errors.OutOfRangeError:
    """What TensorFlow's session takes for the normal end of a training."""
    return tf.errors.OutOfRangeError(None, None, "the job is over")
