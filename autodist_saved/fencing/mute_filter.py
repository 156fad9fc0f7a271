"""A filter of the kernel on one socket, which lets nothing in that the other end has to say."""

from __future__ import annotations

import ctypes
import socket
import struct

from autodist_saved.fencing.fence_error import FenceError

# Linux' numbers, which Python does not name. To get a filter is to attach one, in the kernel's words.
_SO_ATTACH_FILTER, _SO_DETACH_FILTER, _SO_GET_FILTER = 26, 27, 26

# A classic BPF program, which needs no privilege. It sees each segment from its TCP header on, and refuses those that
# are longer than their header. So connections can be made and ended, and what was sent to the other end is
# acknowledged; but no byte comes in.
_LENGTH_OF_HEADER = ((0x30, 0, 0, 12), (0x74, 0, 0, 2), (0x54, 0, 0, 0x3C), (0x07, 0, 0, 0))  # X = 4 * high nibble
_IS_LENGTH_OF_ALL = ((0x80, 0, 0, 0), (0x1D, 0, 1, 0))  # if the length is X, the next line, else the one after it
_TAKE, _REFUSE = ((0x06, 0, 0, 0xFFFFFFFF),), ((0x06, 0, 0, 0),)
_PROGRAM = (*_LENGTH_OF_HEADER, *_IS_LENGTH_OF_ALL, *_TAKE, *_REFUSE)


def mute(target: socket.socket) -> None:
    """Let no byte in from now on. What has come already stays to be read.

    On a listening socket: of all connections that are made from now on, each of which has the filter for itself.

    Raises:
        FenceError: the kernel knows no such filters.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in _PROGRAM))
    program = struct.pack("HP", len(_PROGRAM), ctypes.addressof(code))
    try:
        target.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError as error:
        raise FenceError(f"this machine's kernel does not filter connections for a process ({error})") from error


def unmute(target: socket.socket) -> None:
    """Take the filter away, if there is one. The other end sends again what was refused."""
    if is_mute(target):
        target.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def is_mute(target: socket.socket) -> bool:
    """Whether a socket has a filter. Its program comes back with as many bytes as it has lines: none without one."""
    return bool(target.getsockopt(socket.SOL_SOCKET, _SO_GET_FILTER, 1024))
