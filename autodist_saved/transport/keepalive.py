"""How both ends of a connection notice that the other end's machine is gone, while they wait without a time limit."""

from __future__ import annotations

import socket

_PING_SECS = 10
_PINGS = 3


def notice_loss(connection: socket.socket) -> None:
    """Have TCP fail a connection whose other end has not answered for 40 s. A stopped process still answers."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PING_SECS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PING_SECS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PINGS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _PING_SECS * (_PINGS + 1) * 1000)
