"""How parameter servers connect to the chief for one export. The chief listens only during this time."""

from __future__ import annotations

import hmac
import logging
import secrets
import selectors
import socket
import ssl
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Self

from autodist_saved.transport.chief_connection import ChiefConnection
from autodist_saved.transport.messages import TOKEN_BYTES

# Parameter servers connect at once, unless a firewall or a broken network keeps them from this port.
RENDEZVOUS_SECS = 5.0
# Of connections that have sent no token yet, besides one for each parameter server. A token comes together with its
# connection, so one that so many others come after was not going to send any.
STRANGERS_MAX = 64

log = logging.getLogger(__name__)


class Rendezvous:
    """Makes parameter servers connect to the chief. The chief has one object for the whole job."""

    def __init__(
        self,
        host: str,
        invite: Callable[[str, int, bytes], bool],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            host: name or address of this machine as the other tasks know it; an IPv6 address without brackets.
            invite: asks a task to connect to a port and to send a token. Returns false if the task is not in the job
                now.
            tls: encrypts the chief's end of connections; None for connections without encryption.
        """
        self._tls = tls
        self._host = host
        self._invite = invite
        self._open: weakref.WeakSet[ChiefConnection] = weakref.WeakSet()

    def lose(self, task: str) -> None:
        """A task is known to be lost: calls over its connections raise. Any thread may call it."""
        for connection in [one for one in list(self._open) if one.task == task]:
            connection.lose()

    def connect(self, tasks: Iterable[str]) -> dict[str, ChiefConnection]:
        """Invite tasks to connect, and wait at most :data:`RENDEZVOUS_SECS`. Called by the chief for each export.

        Returns:
            a connection for each task that has connected. A warning names the tasks that were invited and have not.
        """
        tasks = sorted(tasks)
        if not tasks:
            return {}
        try:
            listener = socket.create_server((self._host, 0), family=_family(self._host))
        except (OSError, UnicodeError) as error:
            log.warning(
                "cannot listen on %s (%s): TensorFlow transfers the variables, which is slower", self._host, error
            )
            return {}
        with ExitStack() as stack, listener:
            listener.setblocking(False)
            port = listener.getsockname()[1]
            tokens = {secrets.token_bytes(TOKEN_BYTES): task for task in tasks}
            tokens = {token: task for token, task in tokens.items() if self._invite(task, port, token)}
            connections: dict[str, ChiefConnection] = {}
            lobby = stack.enter_context(_Lobby(listener, tokens, self._tls))
            for task, connection in lobby.arrivals():
                connections[task] = ChiefConnection(task, stack.enter_context(connection))
                self._open.add(connections[task])
                if len(connections) == len(tokens):
                    break
            lobby.close()
            stack.pop_all()
        if absent := sorted(set(tokens.values()) - connections.keys()):
            log.warning(
                "%s did not connect to port %d of %s, chosen for this export, within %g s: TensorFlow transfers "
                "their variables, which is slower; let parameter servers reach the chief on any port",
                ", ".join(absent),
                port,
                self._host,
                RENDEZVOUS_SECS,
            )
        return connections


class _Lobby:
    """Connections that have sent no token yet. All of them are read at the same time, so none delays the others.

    Few at a time: each takes a file descriptor of the chief, and the oldest goes when too many come.
    """

    def __init__(self, listener: socket.socket, tokens: dict[bytes, str], tls: ssl.SSLContext | None) -> None:
        self._listener = listener
        self._tokens = tokens
        self._tls = tls
        self._received: dict[socket.socket, bytes] = {}  # the oldest first
        self._rejected = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Turn away whoever is left. May be called again."""
        for connection in list(self._received):
            self._reject(connection)
        self._selector.close()
        if self._rejected:
            log.warning(
                "rejected %d connection%s to an export's port that did not send a valid token in time",
                self._rejected,
                "s" if self._rejected > 1 else "",
            )
            self._rejected = 0

    def arrivals(self) -> Iterator[tuple[str, socket.socket]]:
        """Yield each task that connects and sends its token, until the time is over."""
        deadline = time.monotonic() + RENDEZVOUS_SECS
        accepted: set[str] = set()
        while len(accepted) < len(self._tokens) and (left := deadline - time.monotonic()) > 0:
            # Before further connections come, which may displace one whose token has just arrived.
            for key, _ in sorted(self._selector.select(left), key=lambda ready: ready[0].fileobj is self._listener):
                if key.fileobj is self._listener:
                    self._accept()
                    continue
                connection: socket.socket = key.fileobj  # type: ignore[assignment]
                if (token := self._read(connection)) is None:
                    continue
                task = _task_of(token, self._tokens)
                if task is None or task in accepted:
                    self._reject(connection)
                else:
                    accepted.add(task)
                    del self._received[connection]
                    self._selector.unregister(connection)
                    yield task, connection

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            if self._tls is not None:  # the first recv does the handshake
                connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except OSError:  # the other end has disappeared, or this process has no free descriptor now
            return
        self._received[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ)
        if len(self._received) > STRANGERS_MAX + len(self._tokens):
            self._reject(next(iter(self._received)))

    def _read(self, connection: socket.socket) -> bytes | None:
        """All that a connection has sent, once that is a token or its end; None as long as more may come."""
        some = _receive(connection, TOKEN_BYTES - len(self._received[connection]))
        if some is None:
            return None
        self._received[connection] += some
        is_whole = not some or len(self._received[connection]) == TOKEN_BYTES
        return self._received[connection] if is_whole else None

    def _reject(self, connection: socket.socket) -> None:
        del self._received[connection]
        self._selector.unregister(connection)
        connection.close()
        self._rejected += 1


def _receive(connection: socket.socket, nbytes: int) -> bytes | None:
    """The bytes that have arrived; empty at the end; None if TLS needs more of them to decrypt any."""
    try:
        return connection.recv(nbytes)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None
    except OSError:
        return b""


def _task_of(received: bytes, tokens: dict[bytes, str]) -> str | None:
    matches = [task for token, task in tokens.items() if hmac.compare_digest(token, received)]
    return matches[0] if matches else None


def _family(host: str) -> socket.AddressFamily:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
