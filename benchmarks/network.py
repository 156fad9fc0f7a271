"""A network of machines on this one: network namespaces, whose ways to each other can be cut. Needs root."""

from __future__ import annotations

import enum
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_networks = itertools.count()


class Firewall(enum.StrEnum):
    """What a machine's firewall does with the packets of another machine. All but the first answer, or let some by.

    None of it says anything of the machine's processes.
    """

    DROP = "drop"
    RST = "rst"
    ICMP = "icmp"
    NXDOMAIN = "nxdomain"  # drops them, and the machine's name is unknown to the others
    HALF_OPEN = "half-open"  # drops those of the connections that there are, and takes new ones
    ONE_WAY_IN = "one-way-in"  # drops what comes in; the machine is heard, and hears nothing
    ONE_WAY_OUT = "one-way-out"  # the other way round


# nftables' rule for what comes in and for what goes out; None where all is let by.
_RULES: Mapping[Firewall, tuple[str | None, str | None]] = {
    Firewall.DROP: ("drop", "drop"),
    Firewall.RST: ("meta l4proto tcp reject with tcp reset",) * 2,
    Firewall.ICMP: ("reject with icmp type port-unreachable",) * 2,
    Firewall.NXDOMAIN: ("drop", "drop"),
    Firewall.HALF_OPEN: ("ct state invalid drop",) * 2,
    Firewall.ONE_WAY_IN: ("drop", None),
    Firewall.ONE_WAY_OUT: (None, "drop"),
}
_ETC = Path("/etc/netns")  # what `ip netns exec` puts over the files of /etc


class Network:
    """Hosts around one bridge. Nothing of it is reached from outside, or reaches outside."""

    def __init__(self, hosts: Iterable[str]) -> None:
        """The first host is at the bridge itself and is never cut off."""
        prefix = f"ads{os.getpid()}-{next(_networks)}-"
        self._namespaces = {host: prefix + host for host in hosts}
        self._center, *self._others = self._namespaces
        self.addresses = {host: f"10.213.0.{number}" for number, host in enumerate(self._namespaces, 1)}
        self.names = {host: f"{host}.test" for host in self._namespaces}

    def make(self) -> None:
        for host, namespace in self._namespaces.items():
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
            (_ETC / namespace).mkdir(parents=True)
            (_ETC / namespace / "nsswitch.conf").write_text("hosts: files\n")
            self._tell_names(host, self.names)
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

    def put_up(self, firewall: Firewall, host: str, others: Iterable[str]) -> None:
        """Have a host's firewall part it from others. It is one at a time."""
        others = list(others)
        if firewall is Firewall.HALF_OPEN:
            # Connections that were made before anybody counted them are nobody's.
            self._run(host, "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")
        addresses = ", ".join(self.addresses[other] for other in others)
        chains = [
            f"chain {hook} {{\ntype filter hook {hook} priority 0\nip {end} {{ {addresses} }} {rule}\n}}\n"
            for hook, end, rule in zip(("input", "output"), ("saddr", "daddr"), _RULES[firewall], strict=True)
            if rule is not None
        ]
        self._run(host, "nft", "-f", "-", told="table inet parted {\n" + "".join(chains) + "}\n")
        if firewall is Firewall.NXDOMAIN:
            for other in others:
                self._tell_names(other, [name for name in self.names if name != host])

    def take_down(self, host: str) -> None:
        """Have a host without a firewall again."""
        self._run(host, "nft", "delete table inet parted")
        for other in self._namespaces:
            self._tell_names(other, self.names)

    def behind(self, host: str) -> Sequence[str]:
        """The command that runs another one on a host."""
        return ["ip", "netns", "exec", self._namespaces[host]]

    def remove(self) -> None:
        """Once no process is left in it."""
        for namespace in self._namespaces.values():
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)
            shutil.rmtree(_ETC / namespace, ignore_errors=True)

    def _address(self, host: str, device: str) -> None:
        namespace = self._namespaces[host]
        _ip("-n", namespace, "address", "add", f"{self.addresses[host]}/24", "dev", device)
        _ip("-n", namespace, "link", "set", device, "up")

    def _tell_names(self, host: str, known: Iterable[str]) -> None:
        """Have processes of a host know these hosts by name."""
        lines = ["127.0.0.1 localhost", *(f"{self.addresses[each]} {self.names[each]}" for each in known)]
        # Written in place: processes that run see this file.
        (_ETC / self._namespaces[host] / "hosts").write_text("\n".join([*lines, ""]))

    def _run(self, host: str, *command: str, told: str = "") -> None:
        subprocess.run([*self.behind(host), *command], input=told, text=True, check=True)

    def _isolate(self, hosts: Iterable[str], state: str) -> None:
        for host in hosts:
            _ip("-n", self._namespaces[self._center], "link", "set", host, "type", "bridge_slave", "isolated", state)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
