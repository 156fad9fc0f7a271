"""A member's end of the control service: held by every task but the chief for as long as it takes part."""

from __future__ import annotations

import enum
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import grpc

from autodist_saved.cluster import Cluster
from autodist_saved.control import control_pb2, control_pb2_grpc
from autodist_saved.control.channel import CHANNEL_OPTIONS, job_digest
from autodist_saved.control.connection_failure import connection_failure
from autodist_saved.control.fence_agent import FenceAgent, ServerFence
from autodist_saved.control.gate import Gate
from autodist_saved.control.process_identity import ProcessIdentity
from autodist_saved.control.progress_reports import ProgressReports
from autodist_saved.control.remembered_processes import RememberedProcesses
from autodist_saved.control.security.credentials import Credentials
from autodist_saved.errors import (
    AutodistSavedError,
    ChiefLostError,
    JobError,
    JobFailedError,
    TaskUnreachableError,
)
from autodist_saved.options import SessionOptions
from autodist_saved.system.deadline import Deadline

GOODBYE_SECS = 5.0
HEARTBEAT_SECS = 2.0
# Heartbeats in each training lease: four may be lost, or late, before a worker begins no step any more.
HEARTBEATS = 5
RETRY_SECS = 0.2

log = logging.getLogger(__name__)


class _State(enum.Enum):
    JOINING = enum.auto()
    JOINED = enum.auto()
    ENDED = enum.auto()  # for good or ill: see MemberClient._failure


class MemberClient:
    """Takes part in a job. A thread of its own keeps the stream to the chief and renews it when it breaks.

    A chief that is away for ``options.chief_timeout_secs`` is given up. One that comes back within that time,
    as a restarted process too, finds its members again.

    Attributes:
        tls: for other connections of the job that this task dials; None without TLS.
        is_terminated: whether the chief has ended the job because it received SIGTERM.
    """

    is_terminated = False

    def __init__(
        self,
        cluster: Cluster,
        options: SessionOptions,
        on_parameter_server_lost: Callable[[str], None] = lambda _: None,
        give_copies: Callable[[tuple[str, int], bytes], None] = lambda *_: None,
        gate: Gate | None = None,
        fence: ServerFence | None = None,
        on_failure: Callable[[AutodistSavedError], None] = lambda _: None,
    ) -> None:
        """Callbacks are called in the membership's thread and must not block.

        Args:
            cluster: the job.
            options: how long to wait.
            on_parameter_server_lost: told which one has lost what it held.
            give_copies: told the address to dial, and the token to say there, when an export wants copies.
            gate: where the training steps of this process pass; cuts close it.
            fence: of the TensorFlow server of this process; None where it holds no variables.
            on_failure: told, last of all, why the job has ended without success; this one may block.

        Raises:
            ClusterConfigError: as :meth:`Credentials.read` does.
        """
        self._credentials = Credentials.read(cluster, serves=False)
        self.tls = self._credentials.for_sockets(serves=False)
        self._gate = gate or Gate()
        self._reports = ProgressReports(self._gate, self._send)
        self._heartbeat_secs = HEARTBEAT_SECS
        self._remembered = RememberedProcesses(self._send)
        self._on_failure = on_failure
        self._on_parameter_server_lost = on_parameter_server_lost
        self._give_copies = give_copies
        self._chief_host = cluster.control_host
        self._task = str(cluster.task)
        self._chief = f"{cluster.chief} (control service {cluster.control_address})"
        self._options = options
        self._job = job_digest(cluster)
        here = ProcessIdentity.of_this_process()
        self._process = control_pb2.Process(
            task=self._task, life=uuid.uuid4().hex, pid=here.pid, started=here.started, machine=here.machine
        )
        self._fence = FenceAgent(cluster, cluster.task or cluster.chief, self._send, fence)
        self._channel = self._credentials.channel(str(cluster.control_address), CHANNEL_OPTIONS)
        self._stub = control_pb2_grpc.ControlStub(self._channel)  # type: ignore[no-untyped-call]
        self._outbox: queue.SimpleQueue[control_pb2.MemberMessage | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._state = _State.JOINING
        self._hears_chief = False
        self._failure: AutodistSavedError | None = None
        self._leaving = False
        self._thread = threading.Thread(target=self._take_part, name="membership", daemon=True)

    def join(self) -> None:
        """Join the job; returns when the chief has said welcome.

        Raises:
            TaskUnreachableError: the chief was not there within ``options.start_timeout_secs``.
            JobError: the chief turned this task away.
        """
        self._thread.start()
        # The thread ends the wait when the time is over; the deadline only says so.
        deadline = Deadline(self._options.start_timeout_secs + 2, lambda: f"{self._task} waits for {self._chief}")
        with self._changed:
            deadline.wait_for(self._changed, lambda: self._state is not _State.JOINING)
        self.is_over()

    def is_over(self) -> bool:
        """Whether the chief has ended the job, with success. Costs no message.

        Raises:
            ChiefLostError: the chief has gone without ending the job.
            JobFailedError: the chief ended the job because it failed.
        """
        if self._failure is not None:
            raise self._failure
        return self._state is _State.ENDED

    @property
    def has_chief(self) -> bool:
        """Whether the job goes on, and the chief is connected at this moment."""
        return self._state is _State.JOINED and self._hears_chief

    def wait_for_end(self, timeout_secs: float | None = None) -> bool:
        """Block until the job is over, for good or ill, or so long. Returns whether it is; raises nothing."""
        with self._changed:
            return self._changed.wait_for(lambda: self._state is _State.ENDED, timeout_secs)

    def wait_until_over(self, timeout_secs: float | None = None) -> bool:
        """Block until the job is over, or so long. Returns, and raises, as :meth:`is_over` does."""
        self.wait_for_end(timeout_secs)
        return self.is_over()

    def require_word(self) -> None:
        """Let no step begin before the chief has answered once more. See :meth:`Gate.require_word`."""
        self._gate.require_word()
        self._reports.heartbeat()

    def leave(self, *, failed: bool = False) -> None:
        """Say goodbye, this task having done its part or ``failed``, and close the stream."""
        if not failed and self._state is not _State.ENDED:
            # After a goodbye no cut counts this task any more. Cuts themselves wait for the drain of one that failed.
            self._gate.drain()
        with self._changed:
            self._leaving = True
            self._changed.notify_all()
        self._reports.heartbeat()  # how many steps it has done in all
        self._gate.end_lease()
        self._outbox.put(control_pb2.MemberMessage(goodbye=control_pb2.Goodbye(failed=failed)))
        self._outbox.put(None)
        self._thread.join(GOODBYE_SECS)
        self._channel.close()

    def _take_part(self) -> None:
        patience_secs = self._options.start_timeout_secs
        heard_at = time.monotonic()
        while self._state is not _State.ENDED and not self._leaving:
            if self._hold_stream(patience_secs, heard_at):
                patience_secs = self._options.chief_timeout_secs
                heard_at = time.monotonic()
            with self._changed:
                self._changed.wait_for(lambda: self._leaving or self._state is _State.ENDED, RETRY_SECS)

    def _hold_stream(self, patience_secs: float, heard_at: float) -> bool:
        """One stream, from hello to its end.

        Args:
            patience_secs: the chief has so long to say welcome,
            heard_at: from this moment on, by ``time.monotonic``.

        Returns:
            whether it has said anything.
        """
        heard = False
        outbox = self._outbox = queue.SimpleQueue()
        call = self._stub.Join(self._outgoing(outbox), wait_for_ready=True, metadata=self._credentials.metadata)
        out_of_patience = threading.Event()

        def give_up() -> None:
            out_of_patience.set()
            call.cancel()

        timer = threading.Timer(max(0.0, heard_at + patience_secs - time.monotonic()), give_up)
        timer.daemon = True
        timer.start()
        try:
            for message in call:
                timer.cancel()
                heard = True
                match message.WhichOneof("kind"):
                    case "welcome":
                        self._welcomed(message.welcome)
                    case "heard":
                        self._reports.heard(message.heard)
                    case "parameter_server_lost":
                        self._on_parameter_server_lost(message.parameter_server_lost.task)
                    case "give_copies":
                        wanted = message.give_copies
                        self._give_copies((self._chief_host, wanted.port), wanted.token)
                    case "park":
                        self._reports.park(message.park)
                    case "release":
                        self._fence.release(message.release.epoch)
                        self._reports.release(message.release)
                    case "tell_connections":
                        self._fence.tell_connections(message.tell_connections)
                    case "fence":
                        self._fence.fence(message.fence)
                    case "remember":
                        self._remembered.remember(message.remember)
                    case "forget":
                        self._remembered.forget(message.forget)
                    case "job_over":
                        over = message.job_over
                        self.is_terminated = over.terminated
                        self._end(None if over.succeeded else self._job_failed(over.reason))
        except grpc.RpcError as error:
            if out_of_patience.is_set():
                self._end(self._chief_gone(patience_secs, self._why_not()))
            elif error.code() is grpc.StatusCode.UNAUTHENTICATED:
                self._end(self._token_refused(error.details()))
            elif error.code() is grpc.StatusCode.PERMISSION_DENIED:
                self._end(JobError(f"the chief turned this task away: {error.details()}", task=self._task))
            elif heard and not self._leaving:
                log.warning("%s lost its connection to %s and tries again", self._task, self._chief)
        finally:
            self._hears_chief = False
            timer.cancel()
            outbox.put(None)
        return heard

    def _outgoing(
        self, outbox: queue.SimpleQueue[control_pb2.MemberMessage | None]
    ) -> Iterator[control_pb2.MemberMessage]:
        yield control_pb2.MemberMessage(
            hello=control_pb2.Hello(job=self._job, process=self._process, remembered=self._remembered.alive)
        )
        while True:
            try:
                message = outbox.get(timeout=self._heartbeat_secs)
            except queue.Empty:
                self._reports.heartbeat()
                continue
            if message is None:
                return
            yield message

    def _send(self, message: control_pb2.MemberMessage) -> None:
        """Over the stream that there is now. Lost where there is none."""
        self._outbox.put(message)

    def _welcomed(self, welcome: control_pb2.Welcome) -> None:
        self._heartbeat_secs = min(HEARTBEAT_SECS, welcome.training_lease_secs / HEARTBEATS)
        self._reports.welcome(welcome)
        self._remembered.tell_ends()
        with self._changed:
            self._state, self._hears_chief = _State.JOINED, True
            self._changed.notify_all()

    def _end(self, failure: AutodistSavedError | None) -> None:
        with self._changed:
            self._failure = failure
            self._state = _State.ENDED
            self._changed.notify_all()
        self._gate.end_lease(failure)
        if failure is not None:
            self._on_failure(failure)

    def _job_failed(self, reason: str) -> JobFailedError:
        return JobFailedError(f"the chief ended the job: {reason}", task=self._task)

    def _why_not(self) -> str:
        return connection_failure(self._channel, tls=self._credentials.certificate is not None)

    def _token_refused(self, details: str | None) -> JobError:
        path = self._credentials.files.token_file
        fix = "name the chief's token file in control.token_file" if path is None else "copy it from the chief's host"
        return JobError(
            f"the chief turned this task away: {details}; control.token_file is {path or 'not set'} here: {fix}",
            task=self._task,
        )

    def _chief_gone(self, patience_secs: float, failure: str) -> AutodistSavedError:
        if self._state is _State.JOINING:
            return TaskUnreachableError(
                f"{self._task} waited {patience_secs:g} s for {self._chief} in vain{failure}; start the chief, check "
                "that the cluster description is the same on every task, or raise start_timeout_secs",
                task=self._task,
            )
        return ChiefLostError(
            f"{self._task} has not heard from {self._chief} for {patience_secs:g} s and gives up; start the job "
            "again, it goes on from the last checkpoint",
            task=self._task,
        )
