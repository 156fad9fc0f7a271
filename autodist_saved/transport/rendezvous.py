"""How parameter servers connect to the chief for one export. The chief listens only during this time."""

from __future__ import annotations

import hmac
import logging
import secrets
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

from autodist_saved.transport.chief_connection import ChiefConnection
from autodist_saved.transport.messages import TOKEN_BYTES

# Parameter servers connect at once, unless a firewall or a broken network keeps them from this port.
RENDEZVOUS_SECS = 5.0

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
            for task, connection in _accept(listener, tokens, self._tls):
                connections[task] = ChiefConnection(task, stack.enter_context(connection))
                if len(connections) == len(tokens):
                    break
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


def _accept(
    listener: socket.socket, tokens: dict[bytes, str], tls: ssl.SSLContext | None
) -> Iterator[tuple[str, socket.socket]]:
    """Yield each task that connects and sends its token, until the time is over.

    Connections without a token do not delay the others: all of them are read at the same time.
    """
    deadline = time.monotonic() + RENDEZVOUS_SECS
    received: dict[socket.socket, bytes] = {}
    accepted: set[str] = set()
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        try:
            while len(accepted) < len(tokens) and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    if key.fileobj is listener:
                        try:
                            connection, _ = listener.accept()
                            connection.setblocking(False)
                            if tls is not None:  # the first recv does the handshake
                                connection = tls.wrap_socket(
                                    connection, server_side=True, do_handshake_on_connect=False
                                )
                        except OSError:  # the other end has disappeared, or this process has no free descriptor now
                            continue
                        received[connection] = b""
                        selector.register(connection, selectors.EVENT_READ)
                        continue
                    connection = key.fileobj  # type: ignore[assignment]
                    some = _receive(connection, TOKEN_BYTES - len(received[connection]))
                    if some is None:
                        continue
                    received[connection] += some
                    if some and len(received[connection]) < TOKEN_BYTES:
                        continue
                    selector.unregister(connection)
                    task = _task_of(received.pop(connection), tokens)
                    if task is None or task in accepted:
                        _reject(connection)
                    else:
                        accepted.add(task)
                        yield task, connection
        finally:
            for connection in received:
                _reject(connection)


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


def _reject(connection: socket.socket) -> None:
    log.warning("rejected a connection to an export's port that did not send a valid token in time")
    connection.close()


def _family(host: str) -> socket.AddressFamily:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
