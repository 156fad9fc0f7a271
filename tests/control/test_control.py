"""The control service over real gRPC: joining, leaving, being lost, and the end of the job."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from autodist_saved.cluster import Cluster, Task
from autodist_saved.control import control_pb2, control_pb2_grpc
from autodist_saved.control.channel import job_digest
from autodist_saved.control.chief_service import ChiefService
from autodist_saved.control.gate import Gate
from autodist_saved.control.member import MemberState
from autodist_saved.control.member_client import MemberClient
from autodist_saved.errors import (
    ChiefLostError,
    ClusterConfigError,
    JobError,
    JobFailedError,
    TaskUnreachableError,
)
from autodist_saved.options import SessionOptions

QUICK = SessionOptions(start_timeout_secs=20, chief_timeout_secs=0.5)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster.local(ps=1, workers=2, chief=True)


@pytest.fixture
def chief(cluster: Cluster) -> Iterator[ChiefService]:
    server = ChiefService(cluster)
    server.start()
    yield server
    server.end_job(succeeded=False, reason="the test is over")


Join = Callable[[str], MemberClient]


@pytest.fixture
def join(cluster: Cluster) -> Iterator[Join]:
    members: list[MemberClient] = []

    def make(task: str, options: SessionOptions = QUICK) -> MemberClient:
        member = MemberClient(cluster.for_task(Task.parse(task)), options)
        member.join()
        members.append(member)
        return member

    yield make
    for member in members:
        member.leave()


def test_workers_are_expected_then_joined_then_finished(chief: ChiefService, join: Join) -> None:
    assert chief.workers(MemberState.EXPECTED) == ("worker:0", "worker:1")
    first, second = join("worker:0"), join("worker:1")
    assert chief.workers(MemberState.JOINED) == ("worker:0", "worker:1")
    assert chief.wait_for_workers(0) == ("worker:0", "worker:1")
    second.leave()
    assert chief.wait_for_workers(0.2) == ("worker:0",)
    first.leave()
    assert chief.wait_for_workers(10) == ()
    assert chief.workers(MemberState.FINISHED) == ("worker:0", "worker:1")


def test_a_worker_that_is_done_says_so_when_what_its_last_step_sent_is_applied(
    cluster: Cluster, chief: ChiefService, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodist_saved.control.gate.DRAIN_SECS", 0.5)
    join("ps:0")  # which a worker needs to train
    gate = Gate()
    member = MemberClient(cluster.for_task(Task("worker", 0)), QUICK, gate=gate)
    member.join()
    began = time.monotonic()
    with contextlib.suppress(StopIteration), gate.step():
        raise StopIteration  # as at the end of the data
    member.leave()
    assert chief._wait_for(lambda: chief.workers(MemberState.FINISHED), 20)
    assert chief.members()[0].lost_at >= began + 0.5


def test_the_chief_waits_for_a_worker_that_has_not_come_yet(chief: ChiefService) -> None:
    assert chief.wait_for_workers(0.1) == ("worker:0", "worker:1")


def test_the_end_of_the_job_reaches_every_member(chief: ChiefService, join: Join) -> None:
    parameter_server, worker = join("ps:0"), join("worker:0")
    assert not parameter_server.is_over()
    chief.end_job(succeeded=True)
    parameter_server.wait_until_over()
    worker.wait_until_over()


def test_a_failure_of_the_chief_reaches_every_member_with_its_reason(chief: ChiefService, join: Join) -> None:
    member = join("ps:0")
    chief.end_job(succeeded=False, reason="chief:0: OSError: disk on fire")
    with pytest.raises(JobFailedError, match="the chief ended the job: chief:0: OSError: disk on fire"):
        member.wait_until_over()


def test_every_trainer_is_told_once_that_a_parameter_server_is_lost(
    cluster: Cluster, chief_that_listens: Any
) -> None:
    _, chief_told = chief_that_listens
    worker_told: queue.Queue[str] = queue.Queue()
    worker = MemberClient(cluster.for_task(Task("worker", 0)), QUICK, worker_told.put)
    worker.join()
    with subprocess.Popen(
        [sys.executable, "-c", MEMBER],
        env={**os.environ, "TF_CONFIG": cluster.tf_config(Task("ps", 0))},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "joined\n"
        process.kill()
    assert chief_told.get(timeout=20) == "ps:0"
    assert worker_told.get(timeout=20) == "ps:0"
    worker.leave()
    assert chief_told.empty()


def test_a_parameter_server_that_was_only_cut_off_is_not_lost(
    cluster: Cluster, chief_that_listens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chief, told = chief_that_listens
    streams: queue.Queue[Any] = queue.Queue()
    listen = chief._listen

    def note(stream: Any, requests: Any, context: Any) -> None:
        streams.put((stream, context))
        listen(stream, requests, context)

    monkeypatch.setattr(chief, "_listen", note)
    member = MemberClient(cluster.for_task(Task("ps", 0)), SessionOptions(chief_timeout_secs=30))
    member.join()
    first, context = streams.get(timeout=20)
    context.cancel()
    second, _ = streams.get(timeout=20)
    assert second is not first
    # Its first connection may end after the second one began. Then there is nothing to wait for either.
    assert chief._wait_for(lambda: not first.is_open and chief._table.next_tick_at is None, 20)
    chief._tick()
    assert told.empty()
    member.leave()


@pytest.fixture
def chief_that_listens(cluster: Cluster) -> Iterator[Any]:
    told: queue.Queue[str] = queue.Queue()
    server = ChiefService(cluster, told.put)
    server.start()
    yield server, told
    server.end_job(succeeded=False, reason="the test is over")


def test_a_job_that_ends_waits_for_a_parameter_server_on_its_way(chief: ChiefService, join: Join) -> None:
    ending = threading.Thread(target=chief.end_job, kwargs={"succeeded": True})
    ending.start()
    join("ps:0").wait_until_over()
    ending.join(20)
    assert not ending.is_alive()


def test_a_chief_that_is_not_there_is_named_with_its_address(cluster: Cluster) -> None:
    member = MemberClient(cluster.for_task(Task("ps", 0)), SessionOptions(start_timeout_secs=0.3))
    with pytest.raises(
        TaskUnreachableError, match=r"ps:0 waited 0.3 s for chief:0 .*in vain; start the chief"
    ) as caught:
        member.join()
    assert str(cluster.control_address) in str(caught.value)


def test_a_chief_that_goes_away_is_given_up(cluster: Cluster, join: Join) -> None:
    server = ChiefService(cluster)
    server.start()
    member = join("ps:0")
    server._server.stop(0).wait()  # as if its process had died: no message
    with pytest.raises(
        ChiefLostError, match=r"has not heard from chief:0 .*for 0.5 s and gives up; start the job again"
    ):
        member.wait_until_over()


def test_a_chief_that_comes_back_finds_its_members_again(cluster: Cluster, join: Join) -> None:
    first = ChiefService(cluster)
    first.start()
    member = join("worker:0", SessionOptions(start_timeout_secs=20, chief_timeout_secs=20))
    first._server.stop(0).wait()
    second = ChiefService(cluster)
    second.start()
    assert second._wait_for(lambda: second.workers(MemberState.JOINED), 20)
    second.end_job(succeeded=False, reason="enough")
    with pytest.raises(JobFailedError, match="enough"):
        member.wait_until_over()


def test_a_port_that_is_taken_is_refused_with_the_fix(cluster: Cluster, chief: ChiefService) -> None:
    with pytest.raises(ClusterConfigError, match="it is taken, or not an address of this machine") as caught:
        ChiefService(cluster).start()
    assert "set `control:` in the cluster file" in str(caught.value)


def test_a_task_with_another_description_of_the_cluster_is_turned_away(cluster: Cluster, chief: ChiefService) -> None:
    other = Cluster(
        {**cluster.addresses, "worker": ("localhost:1", "localhost:2")},
        task=Task("worker", 0),
        control=cluster.control_address,
    )
    with pytest.raises(JobError, match="turned this task away: worker:0 has another description of the cluster"):
        MemberClient(other, QUICK).join()
    assert chief.workers(MemberState.JOINED) == ()


@pytest.mark.parametrize("task", ["worker:7", "chief:0", "", "../../etc"])
def test_a_stranger_is_turned_away(cluster: Cluster, chief: ChiefService, task: str) -> None:
    hello = control_pb2.MemberMessage(
        hello=control_pb2.Hello(job=job_digest(cluster), process=control_pb2.Process(task=task))
    )
    with grpc.insecure_channel(str(cluster.control_address)) as channel:
        answers = control_pb2_grpc.ControlStub(channel).Join(iter([hello]), wait_for_ready=True, timeout=20)
        with pytest.raises(grpc.RpcError, match="PERMISSION_DENIED"):
            next(answers)


def test_a_stream_without_a_word_is_turned_away(cluster: Cluster, chief: ChiefService) -> None:
    with grpc.insecure_channel(str(cluster.control_address)) as channel:
        answers = control_pb2_grpc.ControlStub(channel).Join(iter([]), wait_for_ready=True, timeout=20)
        with pytest.raises(grpc.RpcError, match="PERMISSION_DENIED"):
            next(answers)


def test_strangers_that_say_nothing_do_not_keep_members_out(
    cluster: Cluster, chief: ChiefService, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodist_saved.control.security.pending_streams.HELLO_SECS", 0.5)
    silence = threading.Event()

    def say_nothing() -> Iterator[control_pb2.MemberMessage]:
        silence.wait(60)
        yield from ()

    with grpc.insecure_channel(str(cluster.control_address)) as channel:
        stub = control_pb2_grpc.ControlStub(channel)
        streams = [stub.Join(say_nothing(), wait_for_ready=True) for _ in range(20)]
        assert not join("ps:0").is_over()
        for stream in streams:
            stream.cancel()
        silence.set()


MEMBER = """
import os
from autodist_saved.cluster import Cluster
from autodist_saved.control.member_client import MemberClient
from autodist_saved.options import SessionOptions
member = MemberClient(Cluster.from_tf_config(), SessionOptions())
member.join()
print("joined", flush=True)
member.wait_until_over()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_worker_that_dies_or_stops_answering_is_lost_and_not_waited_for(
    cluster: Cluster, chief: ChiefService, number: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", MEMBER],
        env={**os.environ, "TF_CONFIG": cluster.tf_config(Task("worker", 0))},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "joined\n"
        process.send_signal(number)
        assert chief._wait_for(lambda: chief.workers(MemberState.LOST), 30)
        assert chief.wait_for_workers(0.1) == ("worker:1",)
        # The kernel knows the difference.
        is_killed = number == signal.SIGKILL
        assert chief._wait_for(lambda: chief.members()[0].has_ended is is_killed, 30)
    finally:
        process.kill()
        process.communicate()
