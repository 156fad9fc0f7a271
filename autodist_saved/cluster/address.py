"""``host:port``: where a task listens."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from autodist_saved.cluster.wording import kind
from autodist_saved.errors import Problem

HIGHEST_PORT = 65535
_FIX = 'write it as "host:port", such as "trainer-0.example.com:2222"'


class Address(NamedTuple):
    """``host:port`` taken apart. An IPv6 host keeps its brackets; port 0 is still to be chosen."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Address:
        """Take apart a text that :func:`read_address` has found good."""
        host, _, port = text.rpartition(":")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def machine(self) -> str:
        """Equal for two hosts that are surely one machine, such as ``localhost`` and ``127.0.0.1``."""
        return "localhost" if is_loopback(self.host) else self.host.lower()

    @property
    def listener(self) -> tuple[str, int]:
        """Machine and port: what only one task can have, unless the port is still to be chosen."""
        return self.machine, self.port


def is_loopback(host: str) -> bool:
    """Whether a host is on every machine that machine itself. Looks no name up."""
    if host.lower() in ("localhost", "ip6-localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_address(place: str, text: object) -> Address | Problem:
    """An address from a file or a program taken apart, or what is wrong with it.

    Args:
        place: where the address stands, such as ``cluster.ps[0]``.
        text: of any type, as input may be.
    """
    if not isinstance(text, str):
        return Problem(place, f"{text!r} is {kind(text)}, not an address", _FIX)
    host, colon, port = text.rpartition(":")
    if "/" in text:
        return Problem(place, f"{text!r} is a URL or a path, not an address", _FIX)
    if not colon or text.endswith("]"):
        return Problem(place, f"{text!r} has no port", _FIX)
    if re.fullmatch("-?[0-9]{1,99}", port) is None:
        return Problem(place, f"the port of {text!r} is not a number", _FIX)
    if ":" in host and not host.startswith("["):
        return Problem(place, f"{text!r} has more than one colon", 'write an IPv6 host as "[::1]:2222"')
    if not _is_host(host):
        return Problem(place, f"{host!r} is no host name" if host else f"{text!r} has no host", _FIX)
    if not 0 <= int(port) <= HIGHEST_PORT:
        return Problem(place, f"port {port} is out of range", f"choose one from 1 to {HIGHEST_PORT}")
    if int(port) == 0 and not is_loopback(host):
        what = f"port 0 (chosen when the job is launched) is for loopback hosts, and {host} is none"
        return Problem(place, what, f"choose a port from 1 to {HIGHEST_PORT}")
    return Address(host, int(port))


def _is_host(host: str) -> bool:
    if not host.startswith("["):
        return re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?", host) is not None
    try:
        ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return host.endswith("]")
