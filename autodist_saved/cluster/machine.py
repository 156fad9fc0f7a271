"""The machine this process runs on, by its names and addresses."""

from __future__ import annotations

import socket

from autodist_saved.cluster.address import is_loopback
from autodist_saved.cluster.ports import bind_any_port


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine. A name that is neither loopback nor its own is looked up."""
    if is_loopback(host) or host.lower() in (socket.gethostname().lower(), socket.getfqdn().lower()):
        return True
    try:
        # An address can be bound on the machine that has it, and nowhere else.
        bind_any_port(host).close()
    except OSError:
        return False
    return True
