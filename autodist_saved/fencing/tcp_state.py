"""What the kernel knows of one TCP socket."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import termios
from typing import NamedTuple

_ESTABLISHED, _LISTEN = 1, 10
# The beginning of Linux' struct tcp_info.
_TCP_INFO = struct.Struct("=8B13I")


class TcpState(NamedTuple):
    """One moment of it.

    Attributes:
        is_established: both ends may send.
        listens: it accepts connections.
        waiting: connections that are made and that nobody has accepted yet; of a socket that listens.
        silent_msecs: since it last sent or got data; of a connection.
    """

    is_established: bool
    listens: bool
    waiting: int
    silent_msecs: int

    @classmethod
    def of(cls, connection: socket.socket) -> TcpState:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        state, *_ = fields = _TCP_INFO.unpack(told)
        # The kernel counts the waiting connections in the field that counts unacknowledged segments elsewhere.
        waiting, last_data_sent, last_data_received = fields[12], fields[17], fields[19]
        return cls(state == _ESTABLISHED, state == _LISTEN, waiting, min(last_data_sent, last_data_received))


def unread_bytes(connection: socket.socket) -> int:
    """Bytes that have come in and that nobody has read."""
    count = array.array("i", [0])
    fcntl.ioctl(connection, termios.FIONREAD, count)
    return count[0]
