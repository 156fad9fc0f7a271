"""Sends and receives protobuf messages on a connection. The length of a message precedes it."""

from __future__ import annotations

import socket
import struct
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

Kind = TypeVar("Kind", bound=Message)

TOKEN_BYTES = 32
MESSAGE_BYTES_MAX = 64 * 2**20  # enough for several hundred thousand variables or spans
_LENGTH = struct.Struct("<I")


def send_message(connection: socket.socket, message: Message) -> None:
    """Send a message. Raises ``OSError`` if the connection breaks."""
    data = message.SerializeToString()
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive_message(connection: socket.socket, kind: type[Kind]) -> Kind | None:
    """Receive the next message; None if the other end has closed the connection before it.

    Raises:
        OSError: the connection breaks, or the bytes are not such a message.
    """
    head = receive_exactly(connection, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MESSAGE_BYTES_MAX:
        raise ConnectionError(f"a message of {length} bytes was announced")
    data = receive_exactly(connection, length)
    if data is None:
        raise ConnectionError("the connection ended within a message")
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise ConnectionError("the received bytes are not a message") from error


def receive_exactly(connection: socket.socket, nbytes: int) -> bytes | None:
    """Receive ``nbytes`` bytes; None if the other end has closed the connection before the first.

    Raises ``OSError`` if the connection breaks or ends in between.
    """
    data = bytearray(nbytes)
    if not receive_into(connection, memoryview(data)):
        return None
    return bytes(data)


def receive_into(connection: socket.socket, buffer: memoryview) -> bool:
    """Receive bytes until the buffer is full; false if the other end has closed the connection before the first.

    Raises ``OSError`` if the connection breaks or ends in between.
    """
    filled = 0
    while filled < buffer.nbytes:
        received = connection.recv_into(buffer[filled:])
        if not received:
            if filled:
                raise ConnectionError("the connection ended within a message")
            return False
        filled += received
    return True
