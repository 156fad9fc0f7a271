"""Shuts everybody out of this process's TensorFlow server whom the chief does not name."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator

from autodist_saved.fencing.endpoint import Endpoint
from autodist_saved.fencing.fence_error import FenceError
from autodist_saved.fencing.mute_filter import is_mute, mute, unmute
from autodist_saved.fencing.process_sockets import local_end, remote_end, tcp_sockets
from autodist_saved.fencing.tcp_state import TcpState, unread_bytes
from autodist_saved.fencing.thread_rest import is_at_rest

# A connection over which nothing has gone for so long is not within the part of a step in which variables change.
SILENCE_MSECS = 200
_LOOK_SECS = 0.02
# Looks after which lift() gives up that connections are made faster than it ends them.
_LOOKS_MAX = 100


class Fence:
    """A parameter server has one. Off, it costs nothing. Any thread may use it.

    While it is on, nothing that anybody but the allowed sends reaches TensorFlow. All of its state is in the kernel:
    a connection is fenced if it has a filter.

    Connections are told apart by both address and port. So tasks may share a machine. A connection that is made while
    the fence is on is mute until :meth:`allow`, from whichever machine it comes: a step that a lost worker has sent
    may be on its way for minutes, and arrive over a new one.
    """

    def __init__(self, port: int) -> None:
        """Off.

        Args:
            port: at which the TensorFlow server of this process listens.
        """
        self._port = port
        self._lock = threading.Lock()
        self._lifted = threading.Event()
        self._is_on = False

    def shut_out(self, allowed: Collection[Endpoint], timeout_secs: float) -> tuple[Endpoint, ...]:
        """End the connections of everybody else, and wait until TensorFlow has done what they had sent.

        From the return until :meth:`lift`, no step of theirs changes a variable. What a step has not changed before
        it does not change any more: TensorFlow cancels it. The connections of the allowed go on.

        May be called again while the fence is on, as when a live task has had to connect anew.

        Connections in use get half of the time to fall silent, so that a step that is changing variables on several
        parameter servers is not cut in two.

        Args:
            allowed: the far ends of the connections of live tasks, as
                :func:`~autodist_saved.fencing.process_sockets.endpoints_to` tells them there.
            timeout_secs: for all of it.

        Returns:
            the far ends of the connections that were ended.

        Raises:
            FenceError: this machine cannot; or not in time; or :meth:`lift` was called meanwhile; or an allowed
                endpoint is unknown here, as where addresses are translated on the way. The fence is off then.
        """
        with self._lock:
            self._lifted.clear()
            deadline = time.monotonic() + timeout_secs
            try:
                self._check(allowed, deadline)
                self._is_on = True
                self._mute_newcomers()
                self._wait_for_silence(allowed, time.monotonic() + timeout_secs / 2)
                self._wait_until(lambda: self._has_muted_all_but(allowed), deadline, "had sent was taken up")
                ended = self._end_all_but(allowed)
                self._wait_until(self._has_forgotten_the_ended, deadline, "had begun was done")
            except BaseException:
                self._open()
                raise
            return ended

    def allow(self, *endpoints: Endpoint) -> None:
        """Let connections speak that live tasks have made since the fence is on. Blocks for nobody.

        Does nothing for those that are unknown, as one is until TensorFlow has accepted it. So call it again.
        """
        for connection in self._connections():
            if remote_end(connection) in endpoints:
                unmute(connection)

    def lift(self) -> None:
        """Let everybody in. What mute connections have sent is lost: they are ended, and are made anew at once.

        Does nothing while the fence is off. Ends a :meth:`shut_out` that is under way in another thread. Raises
        nothing.
        """
        self._lifted.set()
        with self._lock:
            self._open()

    def _check(self, allowed: Collection[Endpoint], until: float) -> None:
        """Before anything is done. An endpoint that means nothing here is a live task that would be shut out."""
        if not any(self._listeners()):
            raise FenceError(f"no TensorFlow server of this process listens at port {self._port}")
        while unknown := self._unknown(allowed):
            is_waiting = self._waiting()
            if not is_waiting and unknown == self._unknown(allowed):  # just accepted, perhaps
                raise FenceError(
                    f"it has no connection from {', '.join(map(str, unknown))}, which a live task says to have: it "
                    "has just ended, or addresses are translated on the way"
                )
            self._pause(until, "had asked for was accepted")

    def _unknown(self, allowed: Collection[Endpoint]) -> list[Endpoint]:
        known = {remote_end(each) for each in self._connections() if TcpState.of(each).is_established}
        return sorted(set(allowed) - known)

    def _mute_newcomers(self) -> None:
        for listener in self._listeners():
            mute(listener)

    def _wait_for_silence(self, allowed: Collection[Endpoint], until: float) -> None:
        while time.monotonic() < until and not self._lifted.is_set():
            others = [TcpState.of(each) for each in self._others(allowed) if not is_mute(each)]
            if all(each.silent_msecs >= SILENCE_MSECS for each in others if each.is_established):
                return
            time.sleep(_LOOK_SECS)

    def _has_muted_all_but(self, allowed: Collection[Endpoint]) -> bool:
        """Whether all others were mute already, and all that they had sent is in TensorFlow's hands.

        A request that TensorFlow has just read can be cancelled only once another thread of it has taken it up. So
        nothing is ended before its threads rest.
        """
        for connection in self._connections():
            if remote_end(connection) in allowed:
                unmute(connection)
        were_mute = True
        for connection in self._others(allowed):
            if not is_mute(connection):
                mute(connection)
                were_mute = False
        return (
            were_mute
            and not self._waiting()
            and not any(unread_bytes(connection) for connection in self._others(allowed))
            and is_at_rest()
        )

    def _end_all_but(self, allowed: Collection[Endpoint]) -> tuple[Endpoint, ...]:
        ended = []
        for connection in self._others(allowed):
            if (end := remote_end(connection)) is not None:
                ended.append(end)
            _end(connection)
        return tuple(ended)

    def _has_forgotten_the_ended(self) -> bool:
        return all(TcpState.of(each).is_established for each in self._connections()) and is_at_rest()

    def _wait_until(self, holds: Callable[[], bool], until: float, what: str) -> None:
        while not holds():
            self._pause(until, what)

    def _pause(self, until: float, what: str) -> None:
        if self._lifted.wait(_LOOK_SECS):
            raise FenceError("the cut was over before it had shut others out")
        if time.monotonic() >= until:
            raise FenceError(f"its TensorFlow server did not rest in time, so that all that others {what}")

    def _open(self) -> None:
        if not self._is_on:
            return
        for listener in self._listeners():
            unmute(listener)
        # A connection that was made before, and that nobody has accepted yet, is mute and unseen.
        clean_looks = 0
        for _ in range(_LOOKS_MAX):
            clean_looks = 0 if self._end_mute() or self._waiting() else clean_looks + 1
            if clean_looks == 2:
                break
            time.sleep(_LOOK_SECS)
        self._is_on = False

    def _end_mute(self) -> bool:
        """End the connections that are mute. Whether there were any."""
        found = False
        for connection in self._connections():
            if is_mute(connection):
                _end(connection)
                found = True
        return found

    def _waiting(self) -> int:
        """Connections that TensorFlow has not accepted yet."""
        return sum(TcpState.of(listener).waiting for listener in self._listeners())

    def _listeners(self) -> Iterator[socket.socket]:
        return (each for each in self._sockets() if TcpState.of(each).listens)

    def _connections(self) -> Iterator[socket.socket]:
        return (each for each in self._sockets() if not TcpState.of(each).listens)

    def _others(self, allowed: Collection[Endpoint]) -> Iterator[socket.socket]:
        return (each for each in self._connections() if remote_end(each) not in allowed)

    def _sockets(self) -> Iterator[socket.socket]:
        return (each for each in tcp_sockets() if local_end(each).port == self._port)


def _end(connection: socket.socket) -> None:
    """Both ends see the connection end. What is on the way to this one never comes in."""
    with contextlib.suppress(OSError):  # it has ended already
        connection.shutdown(socket.SHUT_RDWR)
    # From now on the kernel itself refuses what the other end sends, and tells it so.
    unmute(connection)
