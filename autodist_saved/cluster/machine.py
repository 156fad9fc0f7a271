"""The machine of this process: which host names and addresses are its own."""

from __future__ import annotations

import socket

from autodist_saved.cluster.address import is_loopback
from autodist_saved.cluster.ports import bind_any_port


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine. Looks up names that are neither loopback nor the machine's own name."""
    if is_loopback(host) or host.lower() in (socket.gethostname().lower(), socket.getfqdn().lower()):
        return True
    try:
        # A process can bind an address only on the machine that has it.
        bind_any_port(host).close()
    except OSError:
        return False
    return True
