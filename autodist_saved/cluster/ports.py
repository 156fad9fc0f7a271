"""Free ports of this machine."""

from __future__ import annotations

import contextlib
import errno
import itertools
import random
import socket
from collections.abc import Callable, Iterable, Iterator

# Our own code: portpicker, a library for this, looks at all interfaces and not at one host.
# Linux takes ports from 32768 on for connections and for port 0. So no other process gets one of these by accident
# between the moment when it is chosen and the moment when its task listens.
PORTS = range(20_000, 32_768)
_FIRST = random.randrange(len(PORTS))  # noqa: S311 - so that processes start at different ports; it is no secret
_turn = itertools.cycle((*PORTS[_FIRST:], *PORTS[:_FIRST]))


@contextlib.contextmanager
def free_ports(taken: Iterable[int]) -> Iterator[Callable[[str], int]]:
    """A scope with a function that returns, for a host of this machine, a port that no process uses.

    It never returns a port twice, whatever the host, nor one of ``taken``. The ports stay bound until the scope
    ends. After that nothing reserves them.
    """
    given = set(taken)
    # A closed socket's port could be chosen again, so all stay open until the last port is known.
    with contextlib.ExitStack() as held:

        def choose(host: str) -> int:
            while True:
                port: int = held.enter_context(_bind_next_port(host)).getsockname()[1]
                if port not in given:
                    given.add(port)
                    return port

        yield choose


def bind_any_port(host: str) -> socket.socket:
    """A TCP socket, bound to a port that the system chooses. The caller closes it.

    Raises:
        OSError: the host is unknown, or is not this machine.
    """
    return _bind(host, 0)


def _bind_next_port(host: str) -> socket.socket:
    for port in itertools.islice(_turn, len(PORTS)):
        try:
            return _bind(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return bind_any_port(host)


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, where = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.bind(where)
    except OSError:
        bound.close()
        raise
    return bound
