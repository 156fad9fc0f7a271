"""Free ports of this machine."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator


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
                port: int = held.enter_context(bind_any_port(host)).getsockname()[1]
                if port not in given:
                    given.add(port)
                    return port

        yield choose


def bind_any_port(host: str) -> socket.socket:
    """A TCP socket, bound to a port that the system chooses. The caller closes it.

    Raises:
        OSError: nobody knows the host, or it is not this machine.
    """
    family, kind, protocol, _, where = socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.bind(where)
    except OSError:
        bound.close()
        raise
    return bound
