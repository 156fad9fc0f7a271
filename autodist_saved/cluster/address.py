"""``host:port``: where a task listens."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from autodist_saved.cluster.wording import kind, shown
from autodist_saved.errors import Problem

HIGHEST_PORT = 65535
_FIX = 'write it as "host:port", such as "trainer-0.example.com:2222"'


class Address(NamedTuple):
    """A parsed ``host:port``. An IPv6 host keeps its brackets. Port 0 means: not chosen yet."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Address:
        """Parse a text that :func:`read_address` accepts. Any other gives nonsense or a ``ValueError``."""
        host, _, port = text.rpartition(":")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def machine(self) -> str:
        """The same for two hosts that are certainly one machine, such as ``localhost`` and ``127.0.0.1``."""
        return "localhost" if is_loopback(self.host) else self.host.lower()

    @property
    def listener(self) -> tuple[str, int]:
        """Machine and port. No two tasks can share it, unless its port is not chosen yet."""
        return self.machine, self.port


def is_loopback(host: str) -> bool:
    """Whether a host means "this machine" on every machine. Looks up no name."""
    if host.lower() in ("localhost", "ip6-localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_address(place: str, text: object) -> Address | Problem:
    """Parse an address from a file or a program, or say what is wrong with it.

    Args:
        place: where the address stands, such as ``cluster.ps[0]``.
        text: the input, of any type.
    """
    if not isinstance(text, str):
        return Problem(place, f"{shown(text)} is {kind(text)}, not an address", _FIX)
    host, colon, port = text.rpartition(":")
    if "/" in text:
        return Problem(place, f"{shown(text)} is a URL or a path, not an address", _FIX)
    if not colon or text.endswith("]"):
        return Problem(place, f"{shown(text)} has no port", _FIX)
    if re.fullmatch("-?[0-9]{1,99}", port) is None:
        return Problem(place, f"the port of {shown(text)} is not a number", _FIX)
    if ":" in host and not host.startswith("["):
        return Problem(place, f"{shown(text)} has more than one colon", 'write an IPv6 host as "[::1]:2222"')
    if not _is_host(host):
        return Problem(place, f"{shown(host)} is no host name" if host else f"{shown(text)} has no host", _FIX)
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
