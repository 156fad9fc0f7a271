"""What this process exchanges with one address, as the kernel counts it."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

# Of struct tcp_info in linux/tcp.h: tcpi_bytes_acked and _bytes_received, and tcpi_data_segs_in and _out.
_BYTES_AT, _SEGMENTS_AT, _INFO_BYTES = 120, 152, 160


@dataclass(frozen=True)
class Traffic:
    """Over all TCP connections of this process to one port, since they were made. Acknowledgements do not count."""

    bytes_sent: int = 0
    bytes_received: int = 0
    segments_sent: int = 0
    segments_received: int = 0

    @classmethod
    def with_port(cls, port: int) -> Traffic:
        """Until now. Raises ``RuntimeError`` where there is no connection."""
        found = []
        for link in Path("/proc/self/fd").iterdir():
            # Some are no sockets, or not connected, or closed by now.
            with suppress(OSError), socket.socket(fileno=os.dup(int(link.name))) as end:
                if end.family in {socket.AF_INET, socket.AF_INET6} and end.getpeername()[1] == port:
                    found.append(_traffic(end))
        if not found:
            raise RuntimeError(f"this process has no connection to port {port}")
        return cls(*map(sum, zip(*map(astuple, found), strict=True)))

    def __sub__(self, before: Traffic) -> Traffic:
        return Traffic(*(now - then for now, then in zip(astuple(self), astuple(before), strict=True)))


def _traffic(end: socket.socket) -> Traffic:
    info = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    sent, received = struct.unpack_from("=QQ", info, _BYTES_AT)
    segments_in, segments_out = struct.unpack_from("=II", info, _SEGMENTS_AT)
    return Traffic(sent, received, segments_out, segments_in)
