"""The session of a distributed job, on its chief and its workers."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import grpc
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster, Task
from autodist_saved.control.chief import ControlServer, MemberState
from autodist_saved.control.member import Membership
from autodist_saved.errors import SaverRequiredError, TaskUnreachableError, UsageError, WrongTaskError
from autodist_saved.options import SessionOptions
from autodist_saved.saver import Saver
from autodist_saved.server import start_tensorflow_server
from autodist_saved.sources.session import plain_session

log = logging.getLogger(__name__)

Hooks = Iterable[v1.train.SessionRunHook]


def create_distributed_session(
    cluster: Cluster,
    *,
    saver: Saver | None = None,
    checkpoint_dir: str | None = None,
    hooks: Hooks = (),
    chief_only_hooks: Hooks = (),
    scaffold: v1.train.Scaffold | None = None,
    save_checkpoint_secs: float | None = 600,
    save_checkpoint_steps: int | None = None,
    save_summaries_steps: int | None = 100,
    log_step_count_steps: int | None = 100,
    config: v1.ConfigProto | None = None,
    options: SessionOptions | None = None,
) -> DistributedSession:
    """A monitored session on the cluster, for the default graph. Called by the chief and by every worker.

    The chief initializes the variables, or restores them from the newest checkpoint, and writes checkpoints and
    summaries; workers wait for that. In a process without a cluster it is an ordinary monitored session.

    Args:
        cluster: the job, and which of its tasks this process is.
        saver: an ``autodist_saved.Saver`` made before; without one the job cannot be exported.
        checkpoint_dir: where the chief finds and writes checkpoints; None for none. Other tasks ignore it.
        hooks: hooks for this task.
        chief_only_hooks: hooks that the chief runs besides.
        scaffold: in place of one made here; it has to hold ``saver`` then.
        save_checkpoint_secs: seconds between checkpoints; ignored where ``save_checkpoint_steps`` is given.
        save_checkpoint_steps: steps between checkpoints.
        save_summaries_steps: steps between summaries; None for none.
        log_step_count_steps: steps between two values of ``global_step/sec``; None for none.
        config: of the session. Its device filters are set so that a task waits for nobody but the chief and the
            parameter servers, unless it has some.
        options: how long to wait for whom.

    Raises:
        WrongTaskError: a parameter server or an evaluator called it.
        SaverRequiredError: ``saver`` is not an ``autodist_saved.Saver``.
        TaskUnreachableError: tasks that this one needs were not there in time; the message names them.
        ClusterConfigError: an address of this task cannot be listened on.
        ChiefLostError, JobFailedError: the job ended while this task waited for it.
    """
    options = options or SessionOptions()
    _check(cluster, saver, scaffold)
    scaffold = scaffold or v1.train.Scaffold(saver=saver)
    job = _Job(cluster, options)
    try:
        job.start()
        target = ""
        if not cluster.is_single:
            config = _with_filters(config, cluster)
            target = start_tensorflow_server(cluster, config)
        if cluster.is_chief:
            creator = v1.train.ChiefSessionCreator(scaffold, target, config, checkpoint_dir)
            task_hooks = [
                *chief_only_hooks,
                *_chief_hooks(
                    scaffold,
                    checkpoint_dir,
                    save_checkpoint_secs if save_checkpoint_steps is None else None,
                    save_checkpoint_steps,
                    save_summaries_steps,
                    log_step_count_steps,
                ),
            ]
        else:
            creator = _WorkerCreator(scaffold, target, config, options)
            task_hooks = []
        return DistributedSession(job, _PatientCreator(creator, job), [_JobHook(job), *task_hooks, *hooks])
    except BaseException as error:
        job.end(error)
        raise


class DistributedSession(v1.train.MonitoredSession):  # type: ignore[misc]
    """A ``tf.compat.v1.train.MonitoredSession`` that takes part in a job. See :func:`create_distributed_session`.

    Closing it on the chief waits for the workers, writes the last checkpoint and ends the job; closing it on a
    worker says goodbye. Left with an exception on the chief, it ends the job as failed, on every task.
    """

    def __init__(self, job: _Job, creator: v1.train.SessionCreator, hooks: list[v1.train.SessionRunHook]) -> None:
        self._job = job
        super().__init__(session_creator=creator, hooks=hooks)

    @property
    def cluster(self) -> Cluster:
        """The job's cluster; its ``task`` is this process."""
        return self._job.cluster

    def raw_session(self) -> v1.Session:
        """The TensorFlow session inside: runs no hooks, and still reads when training should stop."""
        return plain_session(self)

    def wait_for_workers(self, timeout_secs: float | None = None) -> tuple[str, ...]:
        """Wait, on the chief, until the workers have closed their sessions; at once on any other task.

        Args:
            timeout_secs: how long at most; None for ``SessionOptions.worker_timeout_secs``.

        Returns:
            the workers that were still training, or had not come at all, when the time was over.
        """
        return self._job.wait_for_workers(timeout_secs)

    def workers_training(self) -> tuple[str, ...]:
        """The workers that have a session at this moment, as the chief knows; empty on any other task."""
        return self._job.workers_training()

    def close(self) -> None:
        """End this task's part, as leaving the ``with`` block does."""
        self.__exit__(None, None, None)

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if exception is not None and not isinstance(exception, StopIteration | tf.errors.OutOfRangeError):
            # First of all: the others should not wait for a session that may take long to close.
            self._job.end(exception)
        try:
            suppress = bool(super().__exit__(exception_type, exception, traceback))
        except BaseException as error:
            self._job.end(error)
            raise
        self._job.end(None)
        return suppress


class _Job:
    """What this task does in the job: it serves or joins the control service, or nothing without a cluster."""

    def __init__(self, cluster: Cluster, options: SessionOptions) -> None:
        self.cluster = cluster
        self._options = options
        self._server: ControlServer | None = None
        self._membership: Membership | None = None
        self._running: tuple[v1.Session, tf.train.Coordinator] | None = None

    def start(self) -> None:
        if self.cluster.is_single:
            return
        if self.cluster.is_chief:
            server = ControlServer(self.cluster, self._cancel)
            server.start()
            self._server = server
        else:
            self._membership = Membership(self.cluster, self._options, self._cancel)
            self._membership.join()

    def run_in(self, session: v1.Session, coordinator: tf.train.Coordinator) -> None:
        """Note the session that a lost parameter server would leave hanging."""
        self._running = session, coordinator

    def _cancel(self, parameter_server: str) -> None:
        """End the step under way, which may wait for ever for what the parameter server held.

        The coordinator's error is one of those after which a monitored session makes itself anew.
        """
        log.warning("%s is lost, and what it held: the session is made anew", parameter_server)
        if self._running is None:
            return
        session, coordinator = self._running
        if not coordinator.joined:
            error = tf.errors.AbortedError(None, None, f"{parameter_server} is lost")
            coordinator.request_stop((type(error), error, None))
            session.close()

    def is_over(self) -> bool:
        return self._membership is not None and self._membership.is_over()

    def wait_for_parameter_servers(self) -> None:
        """Wait until every parameter server answers; raises when the job ends, or the time is over, meanwhile."""
        deadline = time.monotonic() + self._options.start_timeout_secs
        absent = [task for task in self.cluster.tasks if task.type == "ps"]
        while absent and not self.is_over() and time.monotonic() < deadline:
            absent = [task for task in absent if not _answers(self.cluster.address(task), wait_secs=1.0)]
        if absent and not self.is_over():
            raise TaskUnreachableError(
                f"{_addresses(self.cluster, absent)} did not answer within {self._options.start_timeout_secs:g} s; "
                "start it, check its address, or raise start_timeout_secs",
                task=", ".join(map(str, absent)),
            )

    def wait_for_workers(self, timeout_secs: float | None) -> tuple[str, ...]:
        if self._server is None:
            return ()
        timeout_secs = self._options.worker_timeout_secs if timeout_secs is None else timeout_secs
        if busy := self._server.wait_for_workers(0):
            log.info("waiting up to %g s for %s", timeout_secs, ", ".join(busy))
        left = self._server.wait_for_workers(timeout_secs)
        if left:
            log.warning("still training, or never come, after %g s: %s", timeout_secs, ", ".join(left))
        return left

    def workers_training(self) -> tuple[str, ...]:
        return self._server.workers(MemberState.JOINED) if self._server else ()

    def end(self, error: BaseException | None) -> None:
        if self._server is not None:
            reason = "" if error is None else f"{self.cluster.task}: {type(error).__name__}: {error}"
            self._server.end_job(succeeded=error is None, reason=reason[:4000])
        if self._membership is not None and error is None:
            self._membership.leave()


class _JobHook(v1.train.SessionRunHook):  # type: ignore[misc]
    """Ends a worker's training with the job, and keeps the chief's last checkpoint back for the workers."""

    def __init__(self, job: _Job) -> None:
        self._job = job

    def after_create_session(self, session: v1.Session, coord: tf.train.Coordinator) -> None:
        self._job.run_in(session, coord)

    def before_run(self, run_context: v1.train.SessionRunContext) -> None:
        if self._job.is_over():
            run_context.request_stop()

    def end(self, session: v1.Session) -> None:  # noqa: ARG002 - TensorFlow's signature
        self._job.wait_for_workers(None)


class _WorkerCreator(v1.train.SessionCreator):  # type: ignore[misc]
    """TensorFlow's ``WorkerSessionCreator``, which would look only every 30 s whether the chief is ready."""

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


class _PatientCreator(v1.train.SessionCreator):  # type: ignore[misc]
    """Makes no session, and no second one after a failure, before the parameter servers answer.

    TensorFlow itself would wait for them inside a call that nothing can end.
    """

    def __init__(self, creator: v1.train.SessionCreator, job: _Job) -> None:
        self._creator = creator
        self._job = job

    def create_session(self) -> v1.Session:
        self._job.wait_for_parameter_servers()
        if self._job.is_over():
            raise tf.errors.OutOfRangeError(None, None, "the job is over")
        return self._creator.create_session()


def _check(cluster: Cluster, saver: Any, scaffold: v1.train.Scaffold | None) -> None:
    if cluster.task is not None and cluster.task.type in {"ps", "evaluator"}:
        raise WrongTaskError(
            f"{cluster.task} has no training session; "
            + ("call serve(cluster) here" if cluster.task.type == "ps" else "evaluate checkpoints or exports here"),
            task=str(cluster.task),
        )
    if cluster.task is None and not cluster.is_single:
        raise WrongTaskError("this process is no task of the cluster: set `task` in the cluster file or in TF_CONFIG")
    if saver is not None and not isinstance(saver, Saver):
        raise SaverRequiredError(f"{type(saver).__name__} is not an autodist_saved.Saver; make one of these instead")
    if scaffold is not None and saver is not None and scaffold.saver is not saver:
        raise UsageError("the scaffold holds another saver: make it with Scaffold(saver=saver), or leave one away")


def _chief_hooks(
    scaffold: v1.train.Scaffold,
    directory: str | None,
    checkpoint_secs: float | None,
    checkpoint_steps: int | None,
    summary_steps: int | None,
    step_count_steps: int | None,
) -> list[v1.train.SessionRunHook]:
    if directory is None:
        return []
    hooks: list[v1.train.SessionRunHook] = []
    if step_count_steps:
        hooks.append(v1.train.StepCounterHook(every_n_steps=step_count_steps, output_dir=directory))
    if summary_steps:
        hooks.append(v1.train.SummarySaverHook(save_steps=summary_steps, output_dir=directory, scaffold=scaffold))
    if checkpoint_secs or checkpoint_steps:
        hooks.append(
            v1.train.CheckpointSaverHook(
                directory, save_secs=checkpoint_secs, save_steps=checkpoint_steps, scaffold=scaffold
            )
        )
    return hooks


def _with_filters(config: v1.ConfigProto | None, cluster: Cluster) -> v1.ConfigProto:
    filtered = v1.ConfigProto()
    if config is not None:
        filtered.CopyFrom(config)
    if not filtered.device_filters and cluster.task is not None:
        filtered.device_filters.extend(["/job:ps", cluster.task.device])
    return filtered


def _answers(address: str, wait_secs: float) -> bool:
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=wait_secs)
        except grpc.FutureTimeoutError:
            return False
        return True


def _addresses(cluster: Cluster, tasks: Iterable[Task]) -> str:
    return ", ".join(f"{task} ({cluster.address(task)})" for task in tasks)
