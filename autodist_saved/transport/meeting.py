"""How chief and parameter servers meet for an export: the chief listens while they dial in, and never else."""

from __future__ import annotations

import hmac
import logging
import secrets
import socket
import time
from collections.abc import Callable, Iterable

from autodist_saved.transport.line import Line
from autodist_saved.transport.messages import TOKEN_BYTES, receive_exactly

# They answer at once, unless something is between them and this port.
MEETING_SECS = 5.0

log = logging.getLogger(__name__)

_by_target: dict[str, Meeting] = {}


class Meeting:
    """Calls parameter servers in. Belongs to the chief, for as long as the job runs."""

    def __init__(self, host: str, invite: Callable[[str, int, bytes], bool]) -> None:
        """Touches no network.

        Args:
            host: name or address of this machine by which the other tasks know it, without brackets.
            invite: tells a task to dial a port and to say a token; False where it is not in the job now.
        """
        self._host = host
        self._invite = invite

    @staticmethod
    def of(target: str) -> Meeting | None:
        """The one of the job whose chief's TensorFlow server is ``target``, if this process is that chief."""
        return _by_target.get(target)

    def open(self, target: str) -> None:
        """From now on :meth:`of` finds it."""
        _by_target[target] = self

    def close(self) -> None:
        """:meth:`of` finds it no more."""
        for target in [target for target, meeting in _by_target.items() if meeting is self]:
            del _by_target[target]

    def call_in(self, tasks: Iterable[str]) -> dict[str, Line]:
        """Lines to those of the tasks that came within :data:`MEETING_SECS`. A warning names the others."""
        lines: dict[str, Line] = {}
        with socket.create_server((self._host, 0), family=_family(self._host)) as listener:
            port = listener.getsockname()[1]
            expected = {secrets.token_bytes(TOKEN_BYTES): task for task in tasks}
            expected = {token: task for token, task in expected.items() if self._invite(task, port, token)}
            deadline = time.monotonic() + MEETING_SECS
            while len(lines) < len(expected) and (left := deadline - time.monotonic()) > 0:
                listener.settimeout(left)
                try:
                    connection, peer = listener.accept()
                except TimeoutError:
                    break
                task = _introduced(connection, expected)
                if task is None or task in lines:
                    log.warning("turned away %s: it dialed in for an export without the token", peer[0])
                    connection.close()
                else:
                    lines[task] = Line(task, connection)
        if absent := sorted(set(expected.values()) - lines.keys()):
            log.warning(
                "%s did not reach port %d of %s, chosen for this export, within %g s: their variables take the "
                "slower way through TensorFlow; let parameter servers reach the chief on any port",
                ", ".join(absent),
                port,
                self._host,
                MEETING_SECS,
            )
        return lines


def _introduced(connection: socket.socket, expected: dict[bytes, str]) -> str | None:
    connection.settimeout(1.0)
    try:
        said = receive_exactly(connection, TOKEN_BYTES)
    except OSError:
        return None
    matches = [task for token, task in expected.items() if hmac.compare_digest(token, said or b"")]
    return matches[0] if matches else None


def _family(host: str) -> socket.AddressFamily:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
