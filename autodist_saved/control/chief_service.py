"""The chief's end of the control service: it knows who takes part and tells everyone when the job is over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import grpc

from autodist_saved.cluster import Cluster
from autodist_saved.control import control_pb2, control_pb2_grpc
from autodist_saved.control.channel import job_digest, peer_of
from autodist_saved.control.console_service import ConsoleService
from autodist_saved.control.export_history import ExportHistory
from autodist_saved.control.gate import Gate
from autodist_saved.control.membership import Member, MemberState, Parking, Workers
from autodist_saved.control.security.credentials import Credentials
from autodist_saved.control.security.pending_streams import PendingStreams
from autodist_saved.control.security.rejection_log import RejectionLog
from autodist_saved.control.server import make_server
from autodist_saved.errors import ClusterConfigError, Problem
from autodist_saved.system.deadline import Deadline

FAREWELL_SECS = 10.0
NAME_CHARACTERS_MAX = 100  # of what strangers call themselves
# A parameter server that was only cut off is back sooner than this.
PARAMETER_SERVER_GRACE_SECS = 2.0

log = logging.getLogger(__name__)


class ChiefService(Workers, control_pb2_grpc.ControlServicer):
    """Serves the control service in the chief's process, from :meth:`start` to :meth:`end_job`.

    All methods may be called from any thread.

    Attributes:
        console: for people and their tools.
        tls: for other connections of the job that the chief accepts; None without TLS.
    """

    def __init__(
        self,
        cluster: Cluster,
        on_parameter_server_lost: Callable[[str], None] = lambda _: None,
        gate: Gate | None = None,
        history: ExportHistory | None = None,
    ) -> None:
        """Listens not yet.

        Args:
            cluster: the job.
            on_parameter_server_lost: told, in a thread of its own, which one has lost what it held.
            gate: the chief's own; the console tells of it.
            history: of the job's exports; the console tells of them.

        Raises:
            ClusterConfigError: as :meth:`Credentials.read` does.
        """
        self._credentials = Credentials.read(cluster, serves=True)
        self.tls = self._credentials.for_sockets(serves=True)
        self._on_parameter_server_lost = on_parameter_server_lost
        self._lost_lives: set[str] = set()
        self._address = cluster.control_address
        self._digest = job_digest(cluster)
        self._members = {
            str(task): Member(task) for task in cluster.tasks if task != cluster.chief and task.type != "evaluator"
        }
        self._over: control_pb2.JobOver | None = None
        self._parking: Parking | None = None
        self._changed = threading.Condition()
        self._lobby = PendingStreams()
        self._refusals = RejectionLog()
        self._server = make_server(len(self._members), self._credentials, self._refusals)
        self.console = ConsoleService(str(cluster.chief), gate or Gate(), self, history or ExportHistory())
        control_pb2_grpc.add_ControlServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        control_pb2_grpc.add_ConsoleServicer_to_server(self.console, self._server)  # type: ignore[no-untyped-call]

    def start(self) -> None:
        """Listen on the cluster's control address.

        Raises:
            ClusterConfigError: the address cannot be bound, for instance because it is taken.
        """
        try:
            self._credentials.listen(self._server, str(self._address))
        except RuntimeError as error:
            raise ClusterConfigError(
                "the control service cannot listen",
                problems=[
                    Problem(
                        f"control address {self._address}",
                        "it is taken, or not an address of this machine",
                        'set `control:` in the cluster file, or "control" in TF_CONFIG, to a free port of the '
                        "chief's host, the same on every task",
                    )
                ],
            ) from error
        self._server.start()

    def workers(self, state: MemberState) -> tuple[str, ...]:
        """Names of the workers (parameter servers not counted) that are in ``state``."""
        with self._changed:
            return tuple(self._in(state, parameter_servers=False))

    def wait_for_workers(self, timeout_secs: float) -> tuple[str, ...]:
        """Wait until no worker is still to come or still training.

        Returns:
            the workers that were still to come or still training when the time was over; empty if none.
        """

        def outstanding() -> tuple[str, ...]:
            return (
                *self._in(MemberState.EXPECTED, parameter_servers=False),
                *self._in(MemberState.JOINED, parameter_servers=False),
            )

        deadline = Deadline(timeout_secs, lambda: f"the chief waits for {', '.join(outstanding())}")
        with self._changed:
            deadline.wait_for(self._changed, lambda: not outstanding())
            return outstanding()

    def ask_for_copies(self, task: str, port: int, token: bytes) -> bool:
        """Have a parameter server dial in for an export. False where it is not in the job at this moment."""
        with self._changed:
            member = self._members.get(task)
            if member is None or member.state is not MemberState.JOINED:
                return False
            member.outbox.append(control_pb2.ChiefMessage(give_copies=control_pb2.GiveCopies(port=port, token=token)))
            self._changed.notify_all()
            return True

    def park(self, epoch: int, lease_secs: float) -> None:
        with self._changed:
            self._parking = Parking(epoch, lease_secs)
            for member in self._members.values():
                member.parked_until = 0.0
            self.renew_parking()

    def renew_parking(self) -> None:
        with self._changed:
            if self._parking is not None:
                self._tell_workers(self._parking.next_message())

    def release(self, epoch: int) -> None:
        with self._changed:
            if self._parking is not None and self._parking.epoch == epoch:
                self._parking = None
                self._tell_workers(control_pb2.ChiefMessage(release=control_pb2.Release(epoch=epoch)))

    def roster(self) -> tuple[Member, ...]:
        with self._changed:
            return tuple(replace(member) for member in self._members.values())

    def wait_for_news(self, holds: Callable[[tuple[Member, ...]], bool], timeout_secs: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: holds(self.roster()), max(timeout_secs, 0))

    def end_job(self, *, succeeded: bool, reason: str = "") -> None:
        """Tell every member that the job is over and stop serving. Later calls do nothing."""
        with self._changed:
            if self._over is not None:
                return
            # A parameter server that is still on its way here would otherwise wait for a chief that is gone.
            if succeeded:
                self._changed.wait_for(
                    lambda: not self._in(MemberState.EXPECTED, parameter_servers=True), FAREWELL_SECS
                )
            self._over = control_pb2.JobOver(succeeded=succeeded, reason=reason)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not any(m.stream for m in self._members.values()), FAREWELL_SECS)
        self._server.stop(grace=1.0).wait()

    def Join(  # noqa: N802 - the name is the protocol's
        self, requests: Iterator[control_pb2.MemberMessage], context: grpc.ServicerContext
    ) -> Iterator[control_pb2.ChiefMessage]:
        """One member's stream. Called by gRPC."""
        hello = self._lobby.hear(requests, context)
        if hello is None:
            return
        member = self._members.get(hello.task)
        if member is None or hello.job != self._digest or hello.life in member.replaced:
            if member is None:
                reason = f"{hello.task[:NAME_CHARACTERS_MAX]!r} is no task of the chief's cluster"
            elif hello.job != self._digest:
                reason = f"{hello.task} has another description of the cluster than the chief"
            else:
                reason = f"another process has taken the place of this {hello.task}"
            self._refusals.note(peer_of(context), reason)
            context.abort(grpc.StatusCode.PERMISSION_DENIED, reason)
            return  # abort() raises; type checkers do not know
        with self._changed:
            known_life, member.life = member.life, hello.life
            member.lost_at = 0.0
            if known_life not in {"", hello.life}:
                member.replaced.add(known_life)
                if member.state is not MemberState.FINISHED:
                    member.deaths += 1
                    member.lost_at = time.monotonic()
            member.state, member.stream, member.pid = MemberState.JOINED, context, hello.pid
            member.heard_at = time.monotonic()
            member.outbox.clear()
            on_arrival = []
            if self._parking is not None and member.trains:
                on_arrival.append(self._parking.message())
                if known_life != hello.life:
                    member.parked_until = member.heard_at + self._parking.lease_secs
            self._changed.notify_all()
        if known_life not in {"", hello.life}:
            self._declare_lost(hello.task, known_life)
        log.info("%s (process %d) has joined", hello.task, hello.pid)
        if not context.add_callback(lambda: self._stream_ended(hello.task, context)):
            self._stream_ended(hello.task, context)
            return
        # gRPC wants the answers from this thread, so another one listens.
        threading.Thread(target=self._listen, args=(hello.task, requests, context), daemon=True).start()
        yield from on_arrival  # before the welcome, after which it may train
        yield control_pb2.ChiefMessage(welcome=control_pb2.Welcome())
        yield from self._news(member, context)

    def _news(self, member: Member, context: grpc.ServicerContext) -> Iterator[control_pb2.ChiefMessage]:
        """What a member is told from its welcome to the end of its stream."""

        def ended() -> bool:
            return self._over is not None or member.stream is not context or member.state is not MemberState.JOINED

        while not ended():
            with self._changed:
                self._changed.wait_for(lambda: ended() or bool(member.outbox))
                messages = [] if ended() else list(member.outbox)
                if messages:
                    member.outbox.clear()
            yield from messages
        if self._over is not None:
            yield control_pb2.ChiefMessage(job_over=self._over)

    def _listen(
        self, task: str, requests: Iterator[control_pb2.MemberMessage], context: grpc.ServicerContext
    ) -> None:
        try:
            for message in requests:
                match message.WhichOneof("kind"):
                    case "goodbye":
                        failed = message.goodbye.failed
                        log.info("%s has %s", task, "failed" if failed else "finished")
                        state = MemberState.FAILED if failed else MemberState.FINISHED
                        self._set_state(task, context, state)
                    case "progress":
                        self._hear(task, context, message.progress)
                    case None:
                        self._refusals.note(peer_of(context), f"{task} sent what is no message of this version")
                        context.cancel()
        except Exception as error:  # noqa: BLE001 - gRPC raises a bare Exception when a stream breaks
            log.debug("stream of %s ended: %s", task, error)

    def _stream_ended(self, task: str, context: grpc.ServicerContext) -> None:
        with self._changed:
            member = self._members[task]
            if member.stream is not context:
                return
            member.stream = None
            if member.state is MemberState.JOINED and self._over is None:
                member.state, member.lost_at = MemberState.LOST, time.monotonic()
                log.warning("%s is lost: its connection broke without a goodbye", task)
                if not member.trains:
                    timer = threading.Timer(PARAMETER_SERVER_GRACE_SECS, self._declare_lost, (task, member.life))
                    timer.daemon = True
                    timer.start()
            self._changed.notify_all()

    def _declare_lost(self, task: str, life: str) -> None:
        """Tell everybody that a parameter server's process, and so what it held, is gone; once for each life."""
        with self._changed:
            member = self._members[task]
            if member.trains or (member.state is MemberState.JOINED and member.life == life):
                return
            if life in self._lost_lives or self._over is not None:
                return
            self._lost_lives.add(life)
            lost = control_pb2.ChiefMessage(parameter_server_lost=control_pb2.ParameterServerLost(task=task))
            for name, other in self._members.items():
                if name != task and other.state is MemberState.JOINED:
                    other.outbox.append(lost)
            self._changed.notify_all()
        self._on_parameter_server_lost(task)

    def _hear(self, task: str, context: grpc.ServicerContext, progress: control_pb2.Progress) -> None:
        with self._changed:
            member = self._members[task]
            if member.stream is not context:
                return
            member.hear(progress)
            if self._parking is not None and progress.epoch == self._parking.epoch:
                parked = member.is_parked(self._parking.epoch)
                member.parked_until = self._parking.lease_ends(progress.renewal) if parked else 0.0
            self._changed.notify_all()

    def _tell_workers(self, message: control_pb2.ChiefMessage) -> None:
        """The caller holds the lock."""
        for member in self._members.values():
            if member.trains and member.state is MemberState.JOINED:
                member.outbox.append(message)
        self._changed.notify_all()

    def _set_state(self, task: str, context: grpc.ServicerContext, state: MemberState) -> None:
        with self._changed:
            if self._members[task].stream is context:
                self._members[task].state = state
                self._members[task].lost_at = time.monotonic()
                self._changed.notify_all()

    def _in(self, state: MemberState, *, parameter_servers: bool) -> list[str]:
        return [
            task
            for task, member in self._members.items()
            if member.state is state and member.trains is not parameter_servers
        ]
