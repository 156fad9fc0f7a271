"""Parameter servers of stock TensorFlow that are fenced against a worker, whatever the network between does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from autodist_saved.cluster import Cluster
from tests.support.job import Job, leave
from tests.support.network import Firewall, Network, needs_iproute2, needs_nftables

pytestmark = [pytest.mark.root, needs_iproute2, needs_nftables]

HOSTS = {"ps:0": "others", "ps:1": "others", "worker:1": "others", "worker:0": "worker"}
SERVERS = ("ps:0", "ps:1")

_numbers = count()


@dataclass
class FencedJob(Job):
    """A running job of ``tests/support/jobs/fenced.py``."""

    paused: list[str] = field(default_factory=list)

    def ask(self, task: str, what: str, **more: Any) -> Any:
        number = next(_numbers)
        leave(self.results, f"ask-{task}-{number}", {"what": what, **more})
        answer = self.wait_for(f"answer-{task}-{number}")
        (self.results / f"answer-{task}-{number}.json").unlink()
        assert "error" not in answer, answer
        return answer["value"]

    def counts(self, worker: int) -> list[int]:
        """How many steps of a worker each parameter server has applied."""
        return [self.ask(server, "counts")[worker] for server in SERVERS]

    def connected(self) -> list[str]:
        """The far ends of all connections of the parameter servers."""
        return [end for server in SERVERS for end in self.ask(server, "connected")]

    def pause(self, task: str) -> None:
        """Until the task has ended its step."""
        (self.results / f"paused-{task}.json").unlink(missing_ok=True)
        leave(self.results, f"pause-{task}", True)
        self.wait_for(f"paused-{task}")

    def go_on(self, task: str) -> None:
        """Until the task has trained some more."""
        (self.results / f"pause-{task}.json").unlink()
        trained = self.ask(task, "steps")
        self.wait_until(lambda: self.ask(task, "steps") > trained + 10, f"steps of {task}")

    def hold(self, task: str) -> None:
        """Until the task is in the middle of a step."""
        (self.results / f"held-{task}.json").unlink(missing_ok=True)
        leave(self.results, f"hold-{task}", True)
        self.wait_for(f"held-{task}")

    def let_go(self, task: str) -> None:
        (self.results / f"hold-{task}.json").unlink()

    def shut_out_all_but(self, *live: str) -> None:
        """Fence every parameter server."""
        for server in SERVERS:
            address = self.cluster.addresses["ps"][SERVERS.index(server)]
            ends = [end for task in live if task != server for end in self.ask(task, "endpoints", address=address)]
            self.ask(server, "shut out", allowed=ends)

    def lift(self) -> None:
        for server in SERVERS:
            self.ask(server, "lift")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    network = Network(dict.fromkeys(HOSTS.values()))
    try:
        network.make()
        yield network
    finally:
        network.remove()


@pytest.fixture(scope="module")
def job(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FencedJob]:
    host = {task: network.addresses[HOSTS[task]] for task in HOSTS}
    addresses = {
        "worker": (f"{host['worker:0']}:2222", f"{host['worker:1']}:2222"),
        "ps": (f"{host['ps:0']}:2223", f"{host['ps:1']}:2224"),
    }
    job = FencedJob(Cluster(addresses), tmp_path_factory.mktemp("fenced"))
    try:
        for task in HOSTS:
            job.start_task(task, "fenced.py", behind=network.behind(HOSTS[task]))
        for worker in ("worker:0", "worker:1"):
            job.wait_until(lambda worker=worker: job.ask(worker, "steps") > 0, f"step of {worker}")
        yield job
    finally:
        job.end()


@pytest.mark.parametrize("is_within_a_step", [True, False], ids=["within", "between"])
@pytest.mark.parametrize("firewall", [None, *Firewall], ids=lambda each: each or "none")
def test_no_step_of_a_worker_that_is_shut_out_arrives(
    job: FencedJob, network: Network, firewall: Firewall | None, is_within_a_step: bool
) -> None:
    """Not the one that was under way, and no later one, though the network heals."""
    sessions = job.ask("worker:1", "sessions")
    job.pause("worker:1")
    if is_within_a_step:
        job.hold("worker:0")
    before = job.counts(worker=0)
    if firewall is not None:
        network.put_up(firewall, "worker", ["others"])
    try:
        job.shut_out_all_but("worker:1", *SERVERS)
        fenced = job.counts(worker=0)
        assert not is_within_a_step or fenced == before, "nothing of the step was applied"
    finally:
        if firewall is not None:
            network.take_down("worker")
        if is_within_a_step:
            job.let_go("worker:0")
    # It tries, over a new connection. TensorFlow waits for an answer there before it makes another one.
    mine = f"{network.addresses['worker']}:"
    job.wait_until(lambda: any(end.startswith(mine) for end in job.connected()), "new connection")
    trained = job.counts(worker=1)
    job.go_on("worker:1")
    job.pause("worker:1")
    assert [after > before for before, after in zip(trained, job.counts(worker=1), strict=True)] == [True, True]
    assert job.counts(worker=0) == fenced
    job.lift()
    job.wait_until(lambda: all(map(int.__gt__, job.counts(worker=0), fenced)), "steps of worker:0")
    job.go_on("worker:1")
    assert job.ask("worker:1", "sessions") == sessions, "nobody else has noticed"
