"""One task's part in its job: who is there, who is waited for, and what happens when somebody is gone."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable

import grpc
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster, Task
from autodist_saved.control.chief_service import ChiefService
from autodist_saved.control.export_history import ExportHistory
from autodist_saved.control.gate import Gate
from autodist_saved.control.member_client import MemberClient
from autodist_saved.control.member_signals import MemberSignals
from autodist_saved.control.membership import MemberState, NoWorkers
from autodist_saved.cut.cut import Cut
from autodist_saved.cut.gate_cut import GateCut
from autodist_saved.errors import AutodistSavedError, TaskUnreachableError, UsageError
from autodist_saved.job.gated_session import FAILING_SECS, GatedSession
from autodist_saved.options import SessionOptions
from autodist_saved.system.deadline import Deadline
from autodist_saved.system.signals import EXIT_STATUS_TERMINATED
from autodist_saved.transport.rendezvous import Rendezvous

# How long a session may take to close when another task is lost, and a step to end afterwards, or when the chief is
# lost. When their processes are dead it takes no time.
LAST_RESORT_SECS = 10.0
EXIT_STATUS_LAST_RESORT = 70

log = logging.getLogger(__name__)


class Job:
    """What this task does in the job: it serves or joins the control service, or nothing without a cluster."""

    def __init__(self, cluster: Cluster, options: SessionOptions) -> None:
        self.cluster = cluster
        self.gate = Gate()
        self.history = ExportHistory()
        self._cutting = threading.Lock()
        self._options = options
        self._server: ChiefService | None = None
        self._membership: MemberClient | None = None
        self._signals: MemberSignals | None = None
        self._meeting: Rendezvous | None = None
        self._ended = threading.Event()
        self._running: tuple[GatedSession, tf.train.Coordinator] | None = None

    def start(self) -> None:
        """Serve the control service on the chief; join it on any other task. Raises as these two do."""
        if self.cluster.is_single:
            return
        if self.cluster.is_chief:
            server = ChiefService(self.cluster, self._cancel, self.gate, self.history)
            server.start()
            self._server = server
        else:
            self._membership = MemberClient(
                self.cluster, self._options, self._cancel, gate=self.gate, on_failure=self._give_up
            )
            self._membership.join()
            self._signals = MemberSignals(self.cluster, self._membership, self._options.sigterm_secs)

    def rendezvous_at(self, target: str) -> None:
        """On the chief: let exports of sessions on this TensorFlow server call parameter servers in."""
        if self._server is not None:
            self._meeting = Rendezvous(
                self.cluster.control_host, self._server.ask_for_copies, self.workers_training, self._server.tls
            )
            self._meeting.register(target)

    def run_in(self, session: GatedSession, coordinator: tf.train.Coordinator) -> None:
        """Note the session that a lost parameter server would leave hanging. Called in the thread that trains."""
        self._running = session, coordinator
        if self._signals is not None:
            self._signals.heed()

    def _cancel(self, parameter_server: str) -> None:
        """End the step under way, which may wait for ever for what the parameter server held.

        The coordinator's error is one of those after which a monitored session makes itself anew.
        """
        log.warning("%s is lost, and what it held: the session is made anew", parameter_server)
        if self._running is None:
            return
        session, coordinator = self._running
        session.lose(parameter_server)
        error = tf.errors.AbortedError(None, None, f"{parameter_server} is lost")
        _stop(coordinator, error)
        # Closed from outside meanwhile, TensorFlow might keep a step that has failed.
        if not session.wait_until_idle(FAILING_SECS):
            self._close(error, parameter_server)

    def _give_up(self, failure: AutodistSavedError) -> None:
        """End a step under way that may wait for ever for a chief that is gone."""
        if not self._ended.wait(LAST_RESORT_SECS):
            self._close(failure, str(self.cluster.chief))

    def _close(self, error: BaseException, task: str) -> None:
        """Close the session from outside, because of what has become of another task."""
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
            # It is not dead but stopped, or cut off: TensorFlow waits for an answer, and nothing can make it stop.
            log.critical("%s does not answer and TensorFlow waits for it for ever: this process ends itself", task)
            logging.shutdown()
            os._exit(EXIT_STATUS_LAST_RESORT)

    def cut(self, timeout_secs: float, *, wait: bool = False) -> Cut:
        """A cut of the whole job, for the chief; see :class:`~autodist_saved.cut.gate_cut.GateCut`.

        Args:
            timeout_secs: how long it lasts at most.
            wait: wait while another cut is on, instead of raising.

        Raises:
            UsageError: this task is not the chief.
        """
        if not self.cluster.is_chief:
            raise UsageError(
                f"{self.cluster.chief} alone can stop the other tasks, so {self.cluster.task} cannot save one moment "
                "of the job; save on the chief, or with ExportOptions(consistency='none')"
            )
        return GateCut(
            self.cluster, self.gate, self._server or NoWorkers(), timeout_secs, turn=self._cutting, wait=wait
        )

    def export_on_request(self, exporter: Callable[[str], object]) -> None:
        """Let the console export. Does nothing on any task but the chief of a cluster."""
        if self._server is not None:
            self._server.console.export_with(exporter)

    def is_over(self) -> bool:
        """Whether the chief has ended the job. Costs no message. Raises when the job has failed or lost its chief.

        After SIGTERM it ends this process where the chief needs it no more. Called in the thread that trains.
        """
        if self._signals is not None:
            self._signals.end_if_told()
        return self._membership is not None and self._membership.is_over()

    def wait_for_parameter_servers(self) -> None:
        """Wait until every parameter server answers; raises when the job ends, or the time is over, meanwhile."""
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

    def wait_for_workers(self, timeout_secs: float | None) -> tuple[str, ...]:
        """Wait, on the chief, until no worker is to come or training. Returns those that were when time was over."""
        if self._server is None:
            return ()
        timeout_secs = self._options.worker_timeout_secs if timeout_secs is None else timeout_secs
        left = self._server.wait_for_workers(timeout_secs)
        if left:
            log.warning("still training, or never come, after %g s: %s", timeout_secs, ", ".join(left))
        return left

    def workers_training(self) -> tuple[str, ...]:
        """The workers that have joined and not finished, as the chief knows; empty on any other task."""
        return self._server.workers(MemberState.JOINED) if self._server else ()

    def steps(self) -> dict[str, int]:
        """How many training steps each task has done, if this one alone can take more; empty otherwise."""
        workers = () if self._server is None else self._server.members()
        if any(member.trains and member.state is not MemberState.FINISHED for member in workers):
            return {}
        own = {str(self.cluster.task or self.cluster.chief): self.gate.steps}
        return own | {str(member.task): member.steps for member in workers if member.trains}

    def end(self, error: BaseException | None) -> None:
        """End this task's part: the chief ends the job, a worker says goodbye, or breaks off when it has failed."""
        self._ended.set()
        if self._meeting is not None:
            self._meeting.unregister()
        if self._server is not None:
            reason = "" if error is None else f"{self.cluster.task}: {_told(error)}"
            self._server.end_job(succeeded=error is None, reason=reason[:4000])
        if self._signals is not None:
            self._signals.forget()
        if self._membership is not None:
            self._membership.leave(failed=error is not None)


class JobHook(v1.train.SessionRunHook):  # type: ignore[misc]
    """Ends a worker's training with the job, and keeps the chief's last checkpoint back for the workers."""

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


def _told(error: BaseException) -> str:
    is_sigterm = isinstance(error, SystemExit) and error.code == EXIT_STATUS_TERMINATED
    return "it was told to end by SIGTERM" if is_sigterm else f"{type(error).__name__}: {error}"


def _answers(address: str, wait_secs: float) -> bool:
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=wait_secs)
        except grpc.FutureTimeoutError:
            return False
        return True


def _addresses(cluster: Cluster, tasks: Iterable[Task]) -> str:
    return ", ".join(f"{task} ({cluster.address(task)})" for task in tasks)
