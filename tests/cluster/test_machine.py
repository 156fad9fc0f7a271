"""A machine knows which hosts it is itself."""

from __future__ import annotations

import socket

import pytest

from autodist_saved.cluster import Cluster, Task


def test_a_machine_starts_the_tasks_that_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "trainer-7")
    monkeypatch.setattr(socket, "getfqdn", lambda: "trainer-7.invalid")
    cluster = Cluster(
        {
            "worker": ("Trainer-7:1", "trainer-7.invalid:2", "trainer-8.invalid:1"),
            "ps": ("localhost:2", "198.51.100.1:1", "[::1]:3"),
        }
    )
    assert [str(task) for task in cluster.local_tasks()] == ["worker:0", "worker:1", "ps:0", "ps:2"]


def test_a_machine_knows_itself_by_its_addresses() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outgoing:
        try:
            outgoing.connect(("198.51.100.1", 9))  # Sends nothing; chooses the interface.
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own = outgoing.getsockname()[0]
    cluster = Cluster({"worker": (f"{own}:1", "198.51.100.1:1")})
    assert cluster.local_tasks() == (Task("worker", 0),)
