"""What a task does about fences: it tells its connections, puts a fence up, keeps it up, and takes it down."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Collection

import pytest

from autodist_saved.cluster import Cluster, Task
from autodist_saved.control import control_pb2
from autodist_saved.control.fence_agent import FenceAgent
from autodist_saved.fencing import Endpoint, FenceError
from tests.support.paper_fence import PaperFence

LONG = 60.0
Answers = queue.SimpleQueue[control_pb2.MemberMessage]


class SlowFence(PaperFence):
    """It takes until :meth:`lift` to be put up, which fails then."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = threading.Event()
        self.is_lifted = threading.Event()

    def shut_out(self, allowed: Collection[Endpoint], timeout_secs: float) -> Collection[Endpoint]:
        self.is_asked.set()
        assert self.is_lifted.wait(LONG)
        raise FenceError("lifted")

    def lift(self) -> None:
        self.is_lifted.set()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster.local(ps=2, workers=1, chief=True)


@pytest.fixture
def answers() -> Answers:
    return queue.SimpleQueue()


@pytest.fixture
def agent(cluster: Cluster, answers: Answers) -> Callable[[PaperFence | None], FenceAgent]:
    return lambda fence: FenceAgent(cluster, Task("ps", 0), answers.put, fence)


def order(number: int = 1, renewal: int = 0, lease_secs: float = LONG, epoch: int = 7) -> control_pb2.Fence:
    allowed = ["127.0.0.1:4711", "[::1]:4712"]
    return control_pb2.Fence(epoch=epoch, round=number, renewal=renewal, lease_secs=lease_secs, allowed=allowed)


def fenced(answers: Answers) -> tuple[int, int, str]:
    answer = answers.get(timeout=LONG).fenced
    return answer.round, answer.renewal, answer.error


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_task_tells_its_connections_by_the_server_that_they_lead_to(cluster: Cluster, answers: Answers) -> None:
    host, port = cluster.address(Task("ps", 1)).split(":")
    worker = FenceAgent(cluster, Task("worker", 0), answers.put)
    with socket.create_server((host, int(port))) as server, socket.create_connection((host, int(port))) as own:
        worker.tell_connections(control_pb2.TellConnections(round=3))
        told = answers.get(timeout=LONG).connections
        end = Endpoint.of(*own.getsockname()[:2])
        server.accept()[0].close()
    assert (told.round, told.error) == (3, "")
    assert [(each.server, each.endpoint) for each in told.connections] == [("ps:1", str(end))]


def test_a_task_that_cannot_tell_says_why(
    cluster: Cluster, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(address: str) -> frozenset[Endpoint]:
        raise FenceError(f"{address} has no name here")

    monkeypatch.setattr("autodist_saved.control.fence_agent.endpoints_to", fail)
    FenceAgent(cluster, Task("worker", 0), answers.put).tell_connections(control_pb2.TellConnections(round=3))
    assert answers.get(timeout=LONG).connections.error.endswith("has no name here")


def test_a_fence_is_put_up_renewed_and_taken_down(
    agent: Callable[[PaperFence | None], FenceAgent], answers: Answers
) -> None:
    fence = PaperFence()
    task = agent(fence)
    task.fence(order())
    assert fenced(answers) == (1, 0, "")
    task.fence(order(renewal=4))
    assert fenced(answers) == (1, 4, "")
    assert fence.allowed == [{Endpoint("127.0.0.1", 4711), Endpoint("::1", 4712)}], "once"
    task.release(8)
    assert fence.is_up.is_set(), "that was another cut"
    task.release(7)
    until(lambda: not fence.is_up.is_set())


def test_a_connection_that_the_chief_has_made_meanwhile_is_let_in(
    agent: Callable[[PaperFence | None], FenceAgent], answers: Answers
) -> None:
    fence = PaperFence()
    task = agent(fence)
    task.fence(order())
    assert fenced(answers) == (1, 0, "")
    renewal = order(renewal=1)
    renewal.allowed.append("127.0.0.1:5000")
    task.fence(renewal)
    until(lambda: fence.newcomers == {Endpoint("127.0.0.1", 5000)})
    task.release(7)


def test_a_fence_that_nobody_renews_falls_and_is_not_renewed_afterwards(
    agent: Callable[[PaperFence | None], FenceAgent], answers: Answers
) -> None:
    fence = PaperFence()
    task = agent(fence)
    task.fence(order(lease_secs=0.2))
    assert fenced(answers) == (1, 0, "")
    until(lambda: not fence.is_up.is_set())
    task.fence(order(renewal=1))
    number, _, error = fenced(answers)
    assert number == 1
    assert "was down already" in error
    assert len(fence.allowed) == 1
    task.fence(order(2))
    assert fenced(answers) == (2, 0, "")
    task.release(7)


def test_another_round_takes_the_place_of_the_one_before(
    agent: Callable[[PaperFence | None], FenceAgent], answers: Answers
) -> None:
    fence = PaperFence()
    task = agent(fence)
    task.fence(order(1))
    assert fenced(answers) == (1, 0, "")
    task.fence(order(2))
    assert fenced(answers) == (2, 0, "")
    assert fence.is_up.is_set()
    task.release(7)


@pytest.mark.parametrize(
    ("fence", "reason"), [(PaperFence("no /proc"), "no /proc"), (None, "its process holds no variables")]
)
def test_a_fence_that_cannot_be_put_up_says_why(
    agent: Callable[[PaperFence | None], FenceAgent], answers: Answers, fence: PaperFence | None, reason: str
) -> None:
    task = agent(fence)
    task.fence(order())
    assert fenced(answers) == (1, 0, reason)


def test_a_release_ends_what_is_not_up_yet(
    agent: Callable[[PaperFence | None], FenceAgent], answers: Answers
) -> None:
    fence = SlowFence()
    task = agent(fence)
    task.fence(order())
    assert fence.is_asked.wait(LONG)
    task.release(7)
    assert fence.is_lifted.wait(LONG)
    assert fenced(answers) == (1, 0, "lifted")
