"""The chief's end of the control service: between the members' gRPC streams and the table that decides."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc

from autodist_saved.cluster import Cluster
from autodist_saved.control import control_pb2, control_pb2_grpc
from autodist_saved.control.channel import job_digest, peer_of
from autodist_saved.control.console_service import ConsoleService
from autodist_saved.control.fence_agent import FenceAgent
from autodist_saved.control.gate import Gate
from autodist_saved.control.member import Member, MemberState, Workers
from autodist_saved.control.member_stream import MemberStream
from autodist_saved.control.member_table import JoinRefusedError, MemberTable
from autodist_saved.control.process_identity import ProcessIdentity
from autodist_saved.control.remembered_processes import RememberedProcesses
from autodist_saved.control.security.credentials import Credentials
from autodist_saved.control.security.pending_streams import PendingStreams
from autodist_saved.control.security.rejection_log import RejectionLog
from autodist_saved.control.server import make_server
from autodist_saved.errors import ClusterConfigError, Problem
from autodist_saved.options import SessionOptions
from autodist_saved.report.export_history import ExportHistory
from autodist_saved.system.deadline import Deadline

# The chief's process ends afterwards, so members that are slow to hear of the end must not hold it up for long.
FAREWELL_SECS = 10.0

log = logging.getLogger(__name__)


class ChiefService(Workers, control_pb2_grpc.ControlServicer):
    """Serves the control service in the chief's process, from :meth:`start` to :meth:`end_job`.

    Any thread may call any method. What it knows and decides is in a
    :class:`~autodist_saved.control.member_table.MemberTable`, behind one lock. Each thing that happens on the network
    is one event of the table; the threads that serve the streams send what the table has put into them.

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
        *,
        options: SessionOptions | None = None,
    ) -> None:
        """Does not listen yet.

        Args:
            cluster: the job.
            on_parameter_server_lost: called with the name of a parameter server that has lost what it held, each time
                in a thread of its own.
            gate: the chief's own; the console shows its steps.
            history: of the job's exports; the console shows them.
            options: with the training lease.

        Raises:
            ClusterConfigError: as :meth:`Credentials.read` does.
        """
        self._credentials = Credentials.read(cluster, serves=True)
        self.tls = self._credentials.for_sockets(serves=True)
        self._on_parameter_server_lost = on_parameter_server_lost
        self._address = cluster.control_address
        members = [task for task in cluster.tasks if task != cluster.chief and task.type != "evaluator"]
        here = ProcessIdentity.of_this_process()
        self._table = MemberTable(
            members,
            job_digest(cluster),
            chief=control_pb2.Process(
                task=str(cluster.chief),
                life=uuid.uuid4().hex,
                pid=here.pid,
                started=here.started,
                machine=here.machine,
            ),
            training_lease_secs=(options or SessionOptions()).training_lease_secs,
        )
        # Guards the table and the streams that it has made. Notified after each event.
        self._changed = threading.Condition()
        # The chief's own answers to what it asks everybody.
        self._fence = FenceAgent(cluster, cluster.chief, self._hear_own)
        self._remembered = RememberedProcesses(self._hear_own)
        self._pending_streams = PendingStreams()
        self._rejections = RejectionLog()
        self._server = make_server(len(members), self._credentials, self._rejections)
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

    # ---- for the job -----------------------------------------------------------------------------------------

    def workers(self, state: MemberState) -> tuple[str, ...]:
        """Names of the workers (parameter servers not counted) that are in ``state``."""
        return tuple(str(member.task) for member in self.members() if member.trains and member.state is state)

    def wait_for_workers(self, timeout_secs: float) -> tuple[str, ...]:
        """Wait until every worker has come and has ended: said goodbye, or been lost.

        Returns:
            the workers that were still to come or still training when the time was over; empty if none.
        """

        def outstanding() -> tuple[str, ...]:
            return *self.workers(MemberState.EXPECTED), *self.workers(MemberState.JOINED)

        deadline = Deadline(timeout_secs, lambda: f"the chief waits for {', '.join(outstanding())}")
        with self._changed:
            deadline.wait_for(self._changed, lambda: not outstanding())
            return outstanding()

    def ask_for_copies(self, task: str, port: int, token: bytes) -> bool:
        """Have a parameter server dial in for an export. False where it is not in the job at this moment."""
        with self._event() as table:
            return table.ask_for_copies(task, port, token)

    def end_job(self, *, succeeded: bool, reason: str = "", terminated: bool = False) -> None:
        """Tell every member that the job is over and stop serving. Later calls do nothing.

        Args:
            succeeded: whether the training has ended well.
            reason: why it has not.
            terminated: the reason is SIGTERM, so that the members end with its exit status.
        """
        with self._changed:
            if self._table.is_over:
                return
            # A parameter server that is still on its way here would otherwise wait for a chief that is gone. In a job
            # that has failed, all others learn of it first.
            if succeeded:
                self._wait_for(lambda: not self._parameter_servers_to_come(), FAREWELL_SECS)
            with self._event() as table:
                table.end_job(succeeded=succeeded, reason=reason, terminated=terminated)
            self._wait_for(lambda: not self._table.has_streams, FAREWELL_SECS)
        self._server.stop(grace=1.0).wait()

    # ---- for cuts --------------------------------------------------------------------------------------------

    def wait_for_leases(self) -> None:
        with self._changed:
            until = self._table.leases_end_at
            if until is not None:
                log.info("the cut waits until workers that are lost begin no step any more")
                self._wait_for(lambda: self._table.leases_end_at is None, until - time.monotonic())

    def park(self, epoch: int, lease_secs: float) -> None:
        with self._event() as table:
            table.park(epoch, lease_secs)

    def renew_parking(self) -> None:
        with self._event() as table:
            table.renew_parking()

    def wait_until_parked(self, epoch: int, timeout_secs: float) -> tuple[Member, ...]:
        with self._changed:
            self._wait_for(lambda: not self._table.lagging(epoch), timeout_secs)
            with self._event() as table:
                return table.acquire(epoch)

    def doubtful(self, epoch: int) -> tuple[str, ...]:
        with self._changed:
            return self._table.doubtful(epoch)

    def shut_out(self, epoch: int) -> tuple[str, ...]:
        with self._changed:
            return self._table.shut_out(epoch)

    def release(self, epoch: int) -> None:
        with self._event() as table:
            table.release(epoch)

    def members(self) -> tuple[Member, ...]:
        with self._changed:
            return self._table.members

    # ---- for gRPC --------------------------------------------------------------------------------------------

    def Join(  # noqa: N802 - the name is the protocol's
        self, requests: Iterator[control_pb2.MemberMessage], context: grpc.ServicerContext
    ) -> Iterator[control_pb2.ChiefMessage]:
        """One member's stream. Called by gRPC, in a thread that it needs as long as the stream lives."""
        hello = self._pending_streams.hear(requests, context)
        # A process that has ended meanwhile must not take the place of the one that was started after it.
        if hello is None or not context.is_active():
            return
        try:
            with self._event() as table:
                stream = table.join(hello)
        except JoinRefusedError as error:
            self._rejections.note(peer_of(context), str(error))
            context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
            return  # abort() raises; type checkers do not know
        log.info("%s (process %d) has joined", hello.process.task, hello.process.pid)
        # gRPC does not call back for a stream that has ended meanwhile.
        if not context.add_callback(lambda: self._stream_ended(stream)):
            self._stream_ended(stream)
            return
        # gRPC wants the answers from this thread, so another one listens.
        threading.Thread(target=self._listen, args=(stream, requests, context), daemon=True).start()
        yield from self._outgoing(stream)

    def _outgoing(self, stream: MemberStream) -> Iterator[control_pb2.ChiefMessage]:
        """What the table has put into a stream, until the table has closed it."""
        is_open = True
        while is_open:
            with self._changed:
                self._changed.wait_for(lambda: stream.has_messages or not stream.is_open)
                messages, is_open = stream.take(), stream.is_open
            # Without the lock: gRPC comes back for the next one only when the member's end has room for it.
            yield from messages

    def _listen(
        self,
        stream: MemberStream,
        requests: Iterator[control_pb2.MemberMessage],
        context: grpc.ServicerContext,
    ) -> None:
        try:
            for message in requests:
                match message.WhichOneof("kind"):
                    case "goodbye":
                        failed = message.goodbye.failed
                        log.info("%s has %s", stream.task, "failed" if failed else "finished")
                        with self._event() as table:
                            table.goodbye(stream, failed=failed)
                    case "progress":
                        with self._event() as table:
                            table.progress(stream, message.progress)
                    case "connections" | "fenced" | "ended" | "remembered":
                        self._hear(stream, message)
                    case None:
                        self._rejections.note(
                            peer_of(context), f"{stream.task} sent what is no message of this version"
                        )
                        context.cancel()
        except Exception as error:  # noqa: BLE001 - gRPC raises a bare Exception when a stream breaks
            log.debug("stream of %s ended: %s", stream.task, error)

    def _hear(self, stream: MemberStream, message: control_pb2.MemberMessage) -> None:
        """What a member answers, or the chief itself."""
        with self._event() as table:
            match message.WhichOneof("kind"):
                case "connections":
                    table.connections(stream, message.connections)
                case "fenced":
                    table.fenced(stream, message.fenced)
                case "ended":
                    table.ended(stream, message.ended)
                case "remembered":
                    table.remembered(stream, message.remembered)

    def _hear_own(self, message: control_pb2.MemberMessage) -> None:
        self._hear(self._table.own, message)

    def _answer_own(self, messages: list[control_pb2.ChiefMessage]) -> None:
        for message in messages:
            match message.WhichOneof("kind"):
                case "tell_connections":
                    self._fence.tell_connections(message.tell_connections)
                case "remember":
                    self._remembered.remember(message.remember)
                case "forget":
                    self._remembered.forget(message.forget)

    def _stream_ended(self, stream: MemberStream) -> None:
        with self._event() as table:
            is_lost = table.stream_ended(stream)
            tick_at = table.next_tick_at
        if is_lost:
            log.warning("%s is lost: its connection broke without a goodbye", stream.task)
            if tick_at is not None:
                self._tick_at(tick_at)

    # ---- time and other threads ------------------------------------------------------------------------------

    @contextmanager
    def _event(self) -> Iterator[MemberTable]:
        """The table, for one event. Whoever waits for something looks at it again afterwards."""
        with self._changed:
            yield self._table
            lost, own = self._table.take_lost_parameter_servers(), self._table.own.take()
            self._changed.notify_all()
        self._answer_own(own)
        for task in lost:
            # It may take long: a step that waits for what is lost has to be ended.
            threading.Thread(target=self._on_parameter_server_lost, args=(task,), name="loss", daemon=True).start()

    def _wait_for(self, holds: Callable[[], bool], timeout_secs: float) -> bool:
        """Wait until something holds, looking after each event. False when the time is over before."""
        with self._changed:
            return self._changed.wait_for(holds, max(timeout_secs, 0))

    def _parameter_servers_to_come(self) -> bool:
        return any(not member.trains and member.state is MemberState.EXPECTED for member in self.members())

    def _tick_at(self, moment: float) -> None:
        timer = threading.Timer(max(moment - time.monotonic(), 0), self._tick)
        timer.daemon = True
        timer.start()

    def _tick(self) -> None:
        with self._event() as table:
            table.tick()
            tick_at = table.next_tick_at
        if tick_at is not None:
            self._tick_at(tick_at)
