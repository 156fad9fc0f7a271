"""A network of machines, for tests. Needs root."""

from __future__ import annotations

import shutil

import pytest

from benchmarks.network import Firewall, Network

__all__ = ["Firewall", "Network", "needs_iproute2", "needs_nftables"]

needs_iproute2 = pytest.mark.skipif(shutil.which("ip") is None, reason="network namespaces are made by iproute2")
needs_nftables = pytest.mark.skipif(shutil.which("nft") is None, reason="firewalls are made by nftables")
