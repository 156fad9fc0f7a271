"""What a task does when the chief fences lost processes: it tells its own connections, or shuts others out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from autodist_saved.cluster import Cluster, Task
from autodist_saved.control import control_pb2
from autodist_saved.fencing import Endpoint, FenceError, endpoints_to

# Shutting others out waits until what they had sent has been applied.
SHUT_OUT_SECS_MIN = 2.0


class ServerFence(Protocol):
    """Of a TensorFlow server of this process: :class:`autodist_saved.fencing.Fence`, or a double of it."""

    def shut_out(self, allowed: Collection[Endpoint], timeout_secs: float) -> Collection[Endpoint]:
        """See :meth:`autodist_saved.fencing.Fence.shut_out`."""

    def allow(self, *endpoints: Endpoint) -> None:
        """See :meth:`autodist_saved.fencing.Fence.allow`."""

    def lift(self) -> None:
        """See :meth:`autodist_saved.fencing.Fence.lift`."""


class FenceAgent:
    """Answers the chief's questions and orders about fences. Any thread may call any method; none blocks.

    A fence that the chief does not renew is taken down after its lease, so a chief that dies shuts nobody out for
    ever. The chief counts the same lease from when it sent the message, so it knows until when the fence surely
    stands; no clocks are compared.
    """

    def __init__(
        self,
        cluster: Cluster,
        task: Task,
        send: Callable[[control_pb2.MemberMessage], None],
        fence: ServerFence | None = None,
    ) -> None:
        """No fence is up.

        Args:
            cluster: the job.
            task: whose process this is.
            send: takes each answer; it must not block.
            fence: of the TensorFlow server of this process; None where it holds no variables.
        """
        servers = [each for each in cluster.tasks if each.type == "ps" and each != task]
        self._addresses = {str(server): cluster.address(server) for server in servers}
        self._send = send
        self._fence = fence
        self._changed = threading.Condition()
        self._order: control_pb2.Fence | None = None  # the last one, until it is over
        self._over = (0, 0)  # epoch and round of the last one that is over
        self._until = 0.0
        self._stands = False
        self._one_at_a_time = threading.Lock()

    def tell_connections(self, question: control_pb2.TellConnections) -> None:
        """Answer which connections of this process lead to the parameter servers."""
        threading.Thread(target=self._tell, args=(question.round,), name="connections", daemon=True).start()

    def fence(self, order: control_pb2.Fence) -> None:
        """Put a fence up, or keep it up. The answer follows when it stands, or cannot."""
        with self._changed:
            if _key(order) == self._over:
                # It has been down meanwhile, so it must not look as if it had stood all the time.
                self._answer(order, "its fence was down already when it was to be renewed")
                return
            before = self._order
            is_renewal = before is not None and _key(before) == _key(order)
            self._order, self._until = order, time.monotonic() + order.lease_secs
            if not is_renewal:
                self._stands = False
                threading.Thread(target=self._keep, args=(order,), name="fence", daemon=True).start()
            elif self._stands:
                self._answer(order)
            self._changed.notify_all()

    def release(self, epoch: int) -> None:
        """Take the fence of this cut down, or do not finish it."""
        with self._changed:
            if self._order is None or self._order.epoch != epoch:
                return
            self._end(self._order)
            is_under_way = not self._stands
            self._changed.notify_all()
        if is_under_way and self._fence is not None:
            threading.Thread(target=self._fence.lift, name="fence", daemon=True).start()

    def _tell(self, number: int) -> None:
        found = control_pb2.Connections(round=number)
        try:
            for server, address in self._addresses.items():
                ends: Iterable[Endpoint] = endpoints_to(address)
                found.connections.extend(control_pb2.Connection(server=server, endpoint=str(end)) for end in ends)
        except FenceError as error:
            found = control_pb2.Connections(round=number, error=str(error))
        self._send(control_pb2.MemberMessage(connections=found))

    def _keep(self, order: control_pb2.Fence) -> None:
        """From the order to put a fence up to its end. Those before it end first."""
        with self._one_at_a_time:
            with self._changed:
                if self._current(order) is None:
                    self._end(order)
                    return
            try:
                fence = self._put_up(order)
            except (FenceError, ValueError) as error:
                with self._changed:
                    self._end(order)
                self._answer(order, str(error))
                return
            try:
                self._stand(order)
            finally:
                fence.lift()

    def _put_up(self, order: control_pb2.Fence) -> ServerFence:
        if self._fence is None:
            raise FenceError("its process holds no variables")
        allowed = [Endpoint.parse(text) for text in order.allowed]
        self._fence.shut_out(allowed, max(order.lease_secs, SHUT_OUT_SECS_MIN))
        return self._fence

    def _stand(self, order: control_pb2.Fence) -> None:
        allowed = order.allowed
        with self._changed:
            if (current := self._current(order)) is not None:
                self._stands = True
                self._answer(current)
            while (current := self._current(order)) is not None:
                if (newcomers := {*current.allowed} - {*allowed}) and self._fence is not None:
                    self._fence.allow(*map(Endpoint.parse, newcomers))
                    allowed = current.allowed
                self._changed.wait(max(self._until - time.monotonic(), 0))
            # Before it is taken down: the chief must not hear of a renewal of what is about to fall.
            self._end(order)

    def _current(self, order: control_pb2.Fence) -> control_pb2.Fence | None:
        """The last renewal of an order; None when its fence is not wanted any more. The caller holds the lock."""
        last = self._order
        is_wanted = last is not None and _key(last) == _key(order)
        return last if is_wanted and time.monotonic() < self._until else None

    def _end(self, order: control_pb2.Fence) -> None:
        """The fence of an order is over, or will not be. The caller holds the lock."""
        if self._order is not None and _key(self._order) == _key(order):
            self._order = None
            self._over = _key(order)

    def _answer(self, order: control_pb2.Fence, error: str = "") -> None:
        fenced = control_pb2.Fenced(epoch=order.epoch, round=order.round, renewal=order.renewal, error=error)
        self._send(control_pb2.MemberMessage(fenced=fenced))


def _key(order: control_pb2.Fence) -> tuple[int, int]:
    return order.epoch, order.round
