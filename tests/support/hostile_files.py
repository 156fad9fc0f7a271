"""What may be found in place of a file of a model, and would keep a reader busy or lead it out of the model."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path


def _fifo(place: Path) -> None:
    os.mkfifo(place)


def _socket(place: Path) -> None:
    """Bound from its directory: the names of sockets are short."""
    directory = os.open(place.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"/proc/self/fd/{directory}/{place.name}")
    finally:
        os.close(directory)


def _link_to(target: str) -> Callable[[Path], None]:
    return lambda place: place.symlink_to(target)


def _sparse(place: Path) -> None:
    place.touch()
    os.truncate(place, 200 * 2**30)


LONG = "200 GiB of nothing"
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (_fifo, "it is a named pipe, and not a file"),
    "socket": (_socket, "it is a socket, and not a file"),
    "directory": (Path.mkdir, "a directory"),
    "link to a device": (_link_to("/dev/zero"), "it leads out of"),
    "link to a file of the kernel": (_link_to("/proc/kmsg"), "it leads out of"),
    "link out": (_link_to("/etc/passwd"), "it leads out of"),
    "link in a circle": (lambda place: place.symlink_to(place.name), "its links lead in a circle"),
    "link to nothing": (_link_to("nothing"), "No such file"),
    LONG: (_sparse, "it has 214,748,364,800 bytes"),
}
"""What makes it at a path, and what is said of it."""
