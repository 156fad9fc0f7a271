"""A network of machines, for tests: network namespaces, whose ways to each other can be cut. Needs root."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence

import pytest

_networks = itertools.count()

needs_iproute2 = pytest.mark.skipif(shutil.which("ip") is None, reason="network namespaces are made by iproute2")


class Network:
    """Hosts around one bridge. Nothing of it is reached from outside, or reaches outside."""

    def __init__(self, hosts: Iterable[str]) -> None:
        """The first host is at the bridge itself and is never cut off."""
        prefix = f"ads{os.getpid()}-{next(_networks)}-"
        self._namespaces = {host: prefix + host for host in hosts}
        self._center, *self._others = self._namespaces
        self.addresses = {host: f"10.213.0.{number}" for number, host in enumerate(self._namespaces, 1)}

    def make(self) -> None:
        for namespace in self._namespaces.values():
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        center = self._namespaces[self._center]
        _ip("-n", center, "link", "add", "bridge", "type", "bridge")
        for host in self._others:
            namespace = self._namespaces[host]
            _ip("-n", center, "link", "add", host, "type", "veth", "peer", "name", "wire", "netns", namespace)
            _ip("-n", center, "link", "set", host, "master", "bridge", "up")
            self._address(host, "wire")
        self._address(self._center, "bridge")

    def cut(self, *hosts: str) -> None:
        """Lose every packet between these hosts."""
        self._isolate(hosts, "on")

    def mend(self, *hosts: str) -> None:
        self._isolate(hosts, "off")

    def behind(self, host: str) -> Sequence[str]:
        """The command that runs another one on a host."""
        return ["ip", "netns", "exec", self._namespaces[host]]

    def remove(self) -> None:
        """Once no process is left in it."""
        for namespace in self._namespaces.values():
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)

    def _address(self, host: str, device: str) -> None:
        namespace = self._namespaces[host]
        _ip("-n", namespace, "address", "add", f"{self.addresses[host]}/24", "dev", device)
        _ip("-n", namespace, "link", "set", device, "up")

    def _isolate(self, hosts: Iterable[str], state: str) -> None:
        for host in hosts:
            _ip("-n", self._namespaces[self._center], "link", "set", host, "type", "bridge_slave", "isolated", state)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
