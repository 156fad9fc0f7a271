"""How chief and parameter servers meet for an export: the chief listens while they dial in, and never else."""

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

# They answer at once, unless something is between them and this port.
RENDEZVOUS_SECS = 5.0

log = logging.getLogger(__name__)


class Rendezvous:
    """Has parameter servers dial in. Belongs to the chief, for as long as the job runs."""

    def __init__(
        self,
        host: str,
        invite: Callable[[str, int, bytes], bool],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Touches no network.

        Args:
            host: name or address of this machine by which the other tasks know it, without brackets.
            invite: tells a task to dial a port and to say a token; False where it is not in the job now.
            tls: for the chief's end of connections, where they are to be encrypted.
        """
        self._tls = tls
        self._host = host
        self._invite = invite

    def call_in(self, tasks: Iterable[str]) -> dict[str, ChiefConnection]:
        """Lines to those of the tasks that came within :data:`RENDEZVOUS_SECS`. A warning names the others."""
        tasks = sorted(tasks)
        if not tasks:
            return {}
        try:
            listener = socket.create_server((self._host, 0), family=_family(self._host))
        except (OSError, UnicodeError) as error:
            log.warning("cannot listen on %s (%s): TensorFlow carries the variables, more slowly", self._host, error)
            return {}
        with ExitStack() as stack, listener:
            listener.setblocking(False)
            port = listener.getsockname()[1]
            tokens = {secrets.token_bytes(TOKEN_BYTES): task for task in tasks}
            tokens = {token: task for token, task in tokens.items() if self._invite(task, port, token)}
            lines: dict[str, ChiefConnection] = {}
            for task, connection in _introduced(listener, tokens, self._tls):
                lines[task] = ChiefConnection(task, stack.enter_context(connection))
                if len(lines) == len(tokens):
                    break
            stack.pop_all()
        if absent := sorted(set(tokens.values()) - lines.keys()):
            log.warning(
                "%s did not reach port %d of %s, chosen for this export, within %g s: their variables take the "
                "slower way through TensorFlow; let parameter servers reach the chief on any port",
                ", ".join(absent),
                port,
                self._host,
                RENDEZVOUS_SECS,
            )
        return lines


def _introduced(
    listener: socket.socket, tokens: dict[bytes, str], tls: ssl.SSLContext | None
) -> Iterator[tuple[str, socket.socket]]:
    """Who dials in and says a token, each task once, until the time is over. Strangers hold nobody up."""
    deadline = time.monotonic() + RENDEZVOUS_SECS
    said: dict[socket.socket, bytes] = {}
    came: set[str] = set()
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        try:
            while len(came) < len(tokens) and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    if key.fileobj is listener:
                        try:
                            connection, _ = listener.accept()
                            connection.setblocking(False)
                            if tls is not None:  # the handshake is part of hearing
                                connection = tls.wrap_socket(
                                    connection, server_side=True, do_handshake_on_connect=False
                                )
                        except OSError:  # gone again, or no descriptor is free now
                            continue
                        said[connection] = b""
                        selector.register(connection, selectors.EVENT_READ)
                        continue
                    connection = key.fileobj  # type: ignore[assignment]
                    heard = _hear(connection, TOKEN_BYTES - len(said[connection]))
                    if heard is None:
                        continue
                    said[connection] += heard
                    if heard and len(said[connection]) < TOKEN_BYTES:
                        continue
                    selector.unregister(connection)
                    task = _task_of(said.pop(connection), tokens)
                    if task is None or task in came:
                        _turn_away(connection)
                    else:
                        came.add(task)
                        yield task, connection
        finally:
            for connection in said:
                _turn_away(connection)


def _hear(connection: socket.socket, nbytes: int) -> bytes | None:
    """What has come, empty at the end; None where what has come is not enough for TLS to say."""
    try:
        return connection.recv(nbytes)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None
    except OSError:
        return b""


def _task_of(said: bytes, tokens: dict[bytes, str]) -> str | None:
    matches = [task for token, task in tokens.items() if hmac.compare_digest(token, said)]
    return matches[0] if matches else None


def _turn_away(connection: socket.socket) -> None:
    log.warning("turned away a connection to an export's port that did not say the token in time")
    connection.close()


def _family(host: str) -> socket.AddressFamily:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
