"""One end of a TCP connection."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple


class Endpoint(NamedTuple):
    """An IP address and a port, the same however a socket spells them.

    Attributes:
        host: without a zone. IPv4 that came through an IPv6 socket is plain IPv4.
        port: 0 to 65535.
    """

    host: str
    port: int

    @classmethod
    def of(cls, host: str, port: int) -> Endpoint:
        """From what ``getsockname`` and its like return.

        Raises:
            ValueError: ``host`` is no IP address.
        """
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return cls(str(mapped or address), port)

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read what ``str`` has written.

        Raises:
            ValueError: it is no address and port.
        """
        host, _, port = text.rpartition(":")
        number = int(port)
        if not 0 <= number <= 65535:
            raise ValueError(f"{text!r} has no port between 0 and 65535")
        return cls.of(host.removeprefix("[").removesuffix("]"), number)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
