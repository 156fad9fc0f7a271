"""The TCP connections of this process, whichever library has opened them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from autodist_saved.cluster.address import Address
from autodist_saved.fencing.endpoint import Endpoint
from autodist_saved.fencing.fence_error import FenceError

_DESCRIPTORS = Path("/proc/self/fd")


def tcp_sockets() -> Iterator[socket.socket]:
    """Every TCP socket of this process. Each is a duplicate that is closed when the next one is asked for.

    A descriptor may be closed at any moment and its number given to another connection. A duplicate stays what it is.

    Raises:
        FenceError: the machine does not tell.
    """
    try:
        descriptors = list(_DESCRIPTORS.iterdir())
    except OSError as error:
        raise FenceError(f"this machine does not tell a process its connections ({error})") from error
    for descriptor in descriptors:
        try:
            # Files are not duplicated: to close a duplicate would give up the locks that this process has on one.
            if not descriptor.readlink().name.startswith("socket:"):
                continue
            duplicate = os.dup(int(descriptor.name))
        except OSError:
            continue  # closed meanwhile, as the descriptor is with which the directory was listed
        try:
            found = socket.socket(fileno=duplicate)
        except OSError:
            os.close(duplicate)  # no socket any more
            continue
        with found:
            if found.family in {socket.AF_INET, socket.AF_INET6} and found.proto == socket.IPPROTO_TCP:
                yield found


def local_end(connection: socket.socket) -> Endpoint:
    """The end that is here."""
    return Endpoint.of(*connection.getsockname()[:2])


def remote_end(connection: socket.socket) -> Endpoint | None:
    """The end that is elsewhere; None where the connection is over, or never was one."""
    try:
        return Endpoint.of(*connection.getpeername()[:2])
    except OSError:
        return None


def endpoints_to(address: str) -> frozenset[Endpoint]:
    """The local ends of this process's connections to a task, by which that task knows this one.

    Called on any task, for the address of a parameter server. Takes milliseconds, if the name is known.

    Args:
        address: ``host:port`` as in the cluster.

    Raises:
        FenceError: the machine does not tell, or does not know the name.
    """
    host, port = Address.of(address)
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise FenceError(f"the name in {address} is not known here ({error})") from error
    targets = {Endpoint.of(str(place[0]), port) for *_, place in found}
    return frozenset(local_end(each) for each in tcp_sockets() if remote_end(each) in targets)
