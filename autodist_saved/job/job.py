"""One task's part in its job: which tasks are there, which it waits for, and what it does when one is lost."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Set

import grpc
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster, Task
from autodist_saved.control.chief_service import ChiefService
from autodist_saved.control.gate import Gate
from autodist_saved.control.member import MemberState, NoWorkers
from autodist_saved.control.member_client import MemberClient
from autodist_saved.control.member_signals import MemberSignals
from autodist_saved.cut.cut import Cut
from autodist_saved.cut.gate_cut import GateCut
from autodist_saved.cut.restore_cut import RestoreCut
from autodist_saved.errors import AutodistSavedError, InconsistentError, TaskUnreachableError, UsageError
from autodist_saved.job.gated_session import FAILING_SECS, GatedSession
from autodist_saved.job.session_job import SessionJob
from autodist_saved.job.uncaught import print_failures_of_others_in_short
from autodist_saved.options import SessionOptions
from autodist_saved.report.export_history import ExportHistory
from autodist_saved.system.deadline import Deadline
from autodist_saved.system.process_one import EXIT_STATUS_TERMINATED, heed_sigterm
from autodist_saved.system.signals import NO_STEP_SECS
from autodist_saved.transport.rendezvous import Rendezvous

# How long a session may take to close when another task is lost, and how long a step may take to end afterwards.
# Where the other task's process is dead, both take no time.
LAST_RESORT_SECS = 10.0
EXIT_STATUS_LAST_RESORT = 70

log = logging.getLogger(__name__)


class Job(SessionJob):
    """What this task does in the job. The chief serves the control service, every other task joins it.

    Without a cluster it does neither.
    """

    has_gates = True

    def __init__(self, cluster: Cluster, options: SessionOptions) -> None:
        self._cluster = cluster
        self.gate = Gate()
        self.history = ExportHistory()
        self._cutting = threading.Lock()
        self._options = options
        self._server: ChiefService | None = None
        self._membership: MemberClient | None = None
        self._signals: MemberSignals | None = None
        self._rendezvous: Rendezvous | None = None
        self._ended = threading.Event()
        self._running: tuple[GatedSession, tf.train.Coordinator] | None = None

    def start(self) -> None:
        """Serve or join the control service. Raises as :meth:`ChiefService.start`, :meth:`MemberClient.join`."""
        heed_sigterm()
        print_failures_of_others_in_short()
        if self.cluster.is_single:
            return
        if self.cluster.is_chief:
            server = ChiefService(self.cluster, self._cancel, self.gate, self.history, options=self._options)
            server.start()
            self._server = server
            self._rendezvous = Rendezvous(self.cluster.control_host, server.ask_for_copies, server.tls)
        else:
            self._membership = MemberClient(
                self.cluster, self._options, self._cancel, gate=self.gate, on_failure=self._give_up
            )
            self._membership.join()
            self._signals = MemberSignals(self.cluster, self._membership, self._options.sigterm_secs)
            self._signals.heed()

    @property
    def cluster(self) -> Cluster:
        return self._cluster

    @property
    def rendezvous(self) -> Rendezvous | None:
        return self._rendezvous

    def run_in(self, session: GatedSession, coordinator: tf.train.Coordinator) -> None:
        """Note the session that would hang if a parameter server were lost. Called in the thread that trains."""
        self._running = session, coordinator

    def _cancel(self, parameter_server: str) -> None:
        """End the step under way, which may wait for ever for a lost parameter server.

        A monitored session makes itself anew after this error of its coordinator.
        """
        log.warning("%s is lost with its variables; the session is made anew", parameter_server)
        if self._rendezvous is not None:
            self._rendezvous.lose(parameter_server)
        if self._running is None:
            return
        session, coordinator = self._running
        session.lose(parameter_server)
        error = tf.errors.AbortedError(None, None, f"{parameter_server} is lost")
        _stop(coordinator, error)
        # Runs fail by themselves where the process is dead. Closing the session before they have failed could make
        # TensorFlow keep such a run for ever.
        if not session.wait_until_idle(FAILING_SECS):
            self._close(error, parameter_server)

    def _give_up(self, failure: AutodistSavedError) -> None:
        """End a step under way that may wait for ever for a lost chief."""
        chief = str(self.cluster.chief)
        if self._membership is not None and self._membership.is_terminated:
            if not self._ended.wait(NO_STEP_SECS):
                self._close(SystemExit(EXIT_STATUS_TERMINATED), chief)
        elif not self._ended.wait(LAST_RESORT_SECS):
            self._close(failure, chief)

    def _close(self, error: BaseException, task: str) -> None:
        """Close the session from another thread, because a task is lost."""
        if self._running is None:
            return
        session, coordinator = self._running
        if coordinator.joined:
            return
        _stop(coordinator, error)
        closing = threading.Thread(target=session.close, daemon=True)
        closing.start()
        closing.join(LAST_RESORT_SECS)
        if not session.wait_until_idle(LAST_RESORT_SECS) and not coordinator.joined:
            # The task is not dead but stopped, or cut off. TensorFlow waits for its answer, and nothing ends that
            # call.
            log.critical("%s does not answer, and TensorFlow waits for it for ever: this process ends itself", task)
            logging.shutdown()
            os._exit(EXIT_STATUS_LAST_RESORT)

    def cut(self, timeout_secs: float, *, wait: bool = False) -> Cut:
        """See :meth:`SessionJob.cut`. Only the chief can stop the other tasks."""
        if not self.cluster.is_chief:
            raise UsageError(
                f"{self.cluster.chief} alone can stop the other tasks, so {self.cluster.task} cannot save one moment "
                "of the job; save on the chief, or with ExportOptions(consistency='none')"
            )
        return GateCut(
            self.cluster, self.gate, self._server or NoWorkers(), timeout_secs, turn=self._cutting, wait=wait
        )

    def at_rest(
        self, restore: Callable[[], None], *, tasks: Set[str] = frozenset(), strangers_train: bool = True
    ) -> None:
        """See :meth:`SessionJob.at_rest`. ``strangers_train`` is as for :class:`RestoreCut`."""
        if self._server is None:
            if self._membership is not None and not tasks <= {str(self.cluster.task)}:
                raise UsageError(
                    f"{self.cluster.chief} alone can stop the other tasks, so {self.cluster.task} cannot restore "
                    "variables of the job; restore on the chief"
                )
            super().at_rest(restore)
            return
        while True:
            cut = RestoreCut(
                self.cluster,
                self.gate,
                self._server,
                self._options.start_timeout_secs,
                turn=self._cutting,
                strangers_train=strangers_train,
            )
            cut.acquire()
            try:
                restore()
            except BaseException:
                with contextlib.suppress(AutodistSavedError):
                    cut.release()
                raise
            try:
                cut.release()
            except InconsistentError as error:
                log.warning("%s", error)
            else:
                return

    def export_on_request(self, exporter: Callable[[str], object]) -> None:
        """See :meth:`SessionJob.export_on_request`."""
        if self._server is not None:
            self._server.console.export_with(exporter)

    def is_over(self) -> bool:
        """See :meth:`SessionJob.is_over`. Sends no message.

        After SIGTERM it ends this process, once the chief does not need it any more. Called in the thread that
        trains.
        """
        if self._signals is not None:
            self._signals.end_if_told()
        return self._membership is not None and self._membership.is_over()

    def wait_until_over(self, timeout_secs: float) -> bool:
        """Wait so long, or until the job is over. Returns and raises as :meth:`is_over`. The chief does not wait."""
        if self._membership is not None:
            self._membership.wait_for_end(timeout_secs)
        return self.is_over()

    def wait_for_parameter_servers(self) -> None:
        """Wait until every parameter server answers, or the job is over.

        Raises:
            TaskUnreachableError: some did not answer within ``options.start_timeout_secs``.
            ChiefLostError, JobFailedError: the job ended meanwhile.
        """
        absent = [task for task in self.cluster.tasks if task.type == "ps"]
        deadline = Deadline(
            self._options.start_timeout_secs,
            lambda: f"{self.cluster.task} waits for {_addresses(self.cluster, absent)}",
        )
        while absent and not self.is_over() and not deadline.is_over():
            absent = [task for task in absent if not _answers(self.cluster.address(task), wait_secs=1.0)]
        if absent and not self.is_over():
            raise TaskUnreachableError(
                f"{_addresses(self.cluster, absent)} did not answer within {self._options.start_timeout_secs:g} s; "
                "start it, check its address, or raise start_timeout_secs",
                task=", ".join(map(str, absent)),
            )

    def require_word(self) -> None:
        """A session was made. A worker trains with it when the chief has answered once more."""
        if self._membership is not None:
            self._membership.require_word()

    def wait_for_workers(self, timeout_secs: float | None) -> tuple[str, ...]:
        """Wait, on the chief, until every worker has joined and finished. Returns those that have not in time."""
        if self._server is None:
            return ()
        timeout_secs = self._options.worker_timeout_secs if timeout_secs is None else timeout_secs
        left = self._server.wait_for_workers(timeout_secs)
        if left:
            log.warning("still training, or never joined, after %g s: %s", timeout_secs, ", ".join(left))
        return left

    def workers_training(self) -> tuple[str, ...]:
        """See :meth:`SessionJob.workers_training`. Only the chief knows; empty on any other task."""
        return self._server.workers(MemberState.JOINED) if self._server else ()

    def nobody_waits(self) -> bool:
        """See :meth:`SessionJob.nobody_waits`: no worker trains, and no other thread of this process does."""
        return not self.workers_training() and not self.gate.others_train

    def steps(self) -> dict[str, int]:
        """See :meth:`SessionJob.steps`."""
        workers = () if self._server is None else self._server.members()
        if any(member.trains and member.state is not MemberState.FINISHED for member in workers):
            return {}
        own = {str(self.cluster.task or self.cluster.chief): self.gate.steps}
        return own | {str(member.task): member.steps for member in workers if member.trains}

    def end(self, error: BaseException | None) -> None:
        """End this task's part, with the error that it ended with. The chief ends the job, a worker leaves it."""
        self._ended.set()
        self._rendezvous = None
        if self._server is not None:
            terminated = isinstance(error, SystemExit) and error.code == EXIT_STATUS_TERMINATED
            told = "it received SIGTERM" if terminated else f"{type(error).__name__}: {error}"
            reason = "" if error is None else f"{self.cluster.task}: {told}"
            self._server.end_job(succeeded=error is None, reason=reason[:4000], terminated=terminated)
        if self._signals is not None:
            self._signals.forget()
        if self._membership is not None:
            self._membership.leave(failed=error is not None)


class JobHook(v1.train.SessionRunHook):  # type: ignore[misc]
    """Ends a worker's training when the job ends. On the chief, lets the last checkpoint wait for the workers."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def after_create_session(self, session: v1.Session, coord: tf.train.Coordinator) -> None:
        self._job.run_in(session, coord)

    def before_run(self, run_context: v1.train.SessionRunContext) -> None:
        if self._job.is_over():
            run_context.request_stop()

    def end(self, session: v1.Session) -> None:  # noqa: ARG002 - TensorFlow's signature
        self._job.wait_for_workers(None)


def _stop(coordinator: tf.train.Coordinator, error: BaseException) -> None:
    if not coordinator.joined:  # it would raise the error here
        coordinator.request_stop((type(error), error, None))


def _answers(address: str, wait_secs: float) -> bool:
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=wait_secs)
        except grpc.FutureTimeoutError:
            return False
        return True


def _addresses(cluster: Cluster, tasks: Iterable[Task]) -> str:
    return ", ".join(f"{task} ({cluster.address(task)})" for task in tasks)
