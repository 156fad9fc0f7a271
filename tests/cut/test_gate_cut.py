"""The cut of gates, over a real control service: nobody is forgotten, and nobody stands still for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from autodist_saved.cluster import Cluster, Task
from autodist_saved.control.chief_service import ChiefService
from autodist_saved.control.gate import Gate, Standing
from autodist_saved.control.member import MemberState, NoWorkers
from autodist_saved.control.member_client import MemberClient
from autodist_saved.cut import gate_cut
from autodist_saved.cut.gate_cut import GateCut
from autodist_saved.errors import CutTimeoutError, InconsistentError, JobError, UsageError
from autodist_saved.options import SessionOptions
from tests.support.paper_fence import PaperFence
from tests.support.stepping import stepping

OPTIONS = SessionOptions(start_timeout_secs=20, chief_timeout_secs=20, training_lease_secs=1)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster.local(ps=1, workers=2, chief=True)


@pytest.fixture
def server(cluster: Cluster) -> Iterator[ChiefService]:
    server = ChiefService(cluster, options=OPTIONS)
    server.start()
    yield server
    server.end_job(succeeded=False, reason="the test is over")


@pytest.fixture
def fence(cluster: Cluster, server: ChiefService) -> Iterator[PaperFence]:
    """That of the parameter server, which has joined."""
    fence = PaperFence()
    member = MemberClient(cluster.for_task(Task("ps", 0)), OPTIONS, fence=fence)
    member.join()
    yield fence
    member.leave()


class Worker:
    """A worker's gate and its membership."""

    def __init__(self, cluster: Cluster, task: str) -> None:
        self.gate = Gate()
        self.membership = MemberClient(cluster.for_task(Task.parse(task)), OPTIONS, gate=self.gate)
        self.membership.join()


Join = Callable[[str], Worker]


@pytest.fixture
def join(cluster: Cluster, server: ChiefService, fence: PaperFence) -> Iterator[Join]:
    workers: list[Worker] = []

    def make(task: str) -> Worker:
        workers.append(Worker(cluster, task))
        return workers[-1]

    yield make
    for worker in workers:
        worker.membership.leave()


@pytest.fixture
def cut(cluster: Cluster, server: ChiefService, fence: PaperFence) -> Callable[..., GateCut]:
    def make(timeout_secs: float = 20.0, gate: Gate | None = None, **arguments: Any) -> GateCut:
        return GateCut(cluster, gate or Gate(), server, timeout_secs, **arguments)

    return make


Cuts = Callable[..., GateCut]


def lose(server: ChiefService, worker: Worker, task: str) -> None:
    """The worker's connection breaks without a goodbye, and it does not come back."""
    worker.membership._leaving = True
    worker.membership._channel.close()
    assert server._wait_for(lambda: task in server.workers(MemberState.LOST), 20)


def test_all_are_parked_and_all_go_on_and_the_witness_has_their_steps(join: Join, cut: Cuts) -> None:
    chief, first, second = Gate(), join("worker:0"), join("worker:1")
    for gate, steps in ((chief, 1), (first.gate, 2), (second.gate, 3)):
        for _ in range(steps):
            with gate.step():
                pass
    one = cut(gate=chief)
    one.acquire()
    assert {gate.standing for gate in (chief, first.gate, second.gate)} == {Standing.PARKED}
    seen = one.release()
    assert seen.training == ()
    assert seen.steps == {"chief:0": 1, "worker:0": 2, "worker:1": 3}
    assert seen.deaths == 0
    assert chief.standing is Standing.TRAINING
    for worker in (first, second):
        with worker.gate.step():
            pass


def test_every_cut_has_a_higher_number(join: Join, cut: Cuts) -> None:
    epochs = []
    for _ in range(3):
        one = cut()
        one.acquire()
        epochs.append(one.release().epoch)
    assert epochs == sorted(set(epochs))


def test_a_worker_that_does_not_park_is_named_and_all_go_on(join: Join, cut: Cuts) -> None:
    first, second = join("worker:0"), join("worker:1")
    before = cut()
    before.acquire()  # after this both are known to have nothing under way from before they joined
    before.release()
    with stepping(first.gate):
        with pytest.raises(CutTimeoutError) as caught:
            cut(0.5).acquire()
        with second.gate.step():
            pass
    assert caught.value.task == "worker:0"
    assert "within 0.5 s" in str(caught.value)
    assert "worker:0 (" in str(caught.value)
    assert "parking after 0 steps" in str(caught.value)


def test_a_step_of_the_chief_that_does_not_end_is_named(join: Join, cut: Cuts) -> None:
    worker, chief = join("worker:0"), Gate()
    with stepping(chief), pytest.raises(CutTimeoutError, match="chief:0 itself is in a step"):
        cut(0.3, chief).acquire()
    with worker.gate.step():
        pass


def test_an_export_within_a_step_is_refused(cut: Cuts) -> None:
    chief = Gate()
    with chief.step(), pytest.raises(UsageError, match="within a training step"):
        cut(gate=chief).acquire()


def test_workers_that_were_never_there_do_not_count(cut: Cuts) -> None:
    one = cut()
    one.acquire()
    assert one.release().steps == {"chief:0": 0}


def test_a_worker_that_has_not_joined_counts_as_long_as_nobody_says_that_it_was_never_there(
    cluster: Cluster, server: ChiefService
) -> None:
    with pytest.raises(CutTimeoutError, match=r"worker:1: it has not joined.*: ps:0 has not joined either"):
        GateCut(cluster, Gate(), server, 0.5).acquire()


def test_a_worker_that_said_goodbye_does_not_count(join: Join, cut: Cuts, server: ChiefService) -> None:
    join("worker:0").membership.leave()
    assert server.wait_for_workers(0) == ("worker:1",)
    one = cut()
    one.acquire()
    assert one.release().deaths == 0


def test_a_lost_worker_is_shut_out_once_its_lease_is_over(
    join: Join, cut: Cuts, server: ChiefService, fence: PaperFence
) -> None:
    lose(server, join("worker:0"), "worker:0")
    ends_at = server._table.leases_end_at
    assert ends_at is not None
    one = cut()
    one.acquire()
    assert time.monotonic() >= ends_at
    assert fence.is_up.is_set()
    seen = one.release()
    assert (seen.deaths, seen.shut_out) == (0, ("worker:0",))
    deadline = time.monotonic() + 20
    while fence.is_up.is_set() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not fence.is_up.is_set()


def test_a_worker_that_has_failed_does_not_count_though_its_process_lives(join: Join, cut: Cuts) -> None:
    join("worker:0").membership.leave(failed=True)
    one = cut()
    one.acquire()
    assert one.release().deaths == 1


def test_a_process_whose_place_another_one_takes_is_kept_out_and_shut_out(
    join: Join, cut: Cuts, server: ChiefService
) -> None:
    first = join("worker:0")
    second = join("worker:0")
    with pytest.raises(JobError, match="another process has taken the place of this worker:0"):
        first.membership.wait_until_over()
    with pytest.raises(JobError, match="another process has taken the place"), first.gate.step():
        pass
    one = cut()
    one.acquire()
    assert second.gate.standing is Standing.PARKED
    seen = one.release()
    assert (seen.deaths, seen.shut_out) == (0, ("worker:0",))


def test_a_cut_that_was_released_can_be_released_again_and_lets_the_next_one_come(join: Join, cut: Cuts) -> None:
    turn = threading.Lock()
    join("worker:0")
    one = cut(turn=turn)
    one.acquire()
    one.release()
    with pytest.raises(InconsistentError):
        one.release()
    assert turn.acquire(blocking=False)
    turn.release()
    never = cut(turn=turn)
    with pytest.raises(InconsistentError):
        never.release()
    assert turn.acquire(blocking=False)


def test_a_lost_worker_that_cannot_be_shut_out_is_named_with_the_reason(
    join: Join, cut: Cuts, server: ChiefService, fence: PaperFence
) -> None:
    fence.problem = "addresses are translated"
    lose(server, join("worker:0"), "worker:0")
    with pytest.raises(
        CutTimeoutError, match=r"its connection broke .* s ago.*ps:0 cannot shut it out: addresses are"
    ):
        cut(2.0).acquire()


def test_a_worker_that_joins_during_a_cut_is_parked_before_it_is_welcome(join: Join, cut: Cuts) -> None:
    one = cut()
    one.acquire()
    late = join("worker:0")
    assert late.gate.standing is Standing.PARKED
    assert one.release().training == ()
    with late.gate.step():
        pass


def test_parked_workers_are_kept_beyond_one_lease(join: Join, cut: Cuts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_cut, "LEASE_SECS", 0.4)
    worker = join("worker:0")
    one = cut()
    one.acquire()
    entered = threading.Event()
    threading.Thread(target=lambda: worker.gate.step().__enter__() or entered.set(), daemon=True).start()
    assert not entered.wait(3 * 0.4)
    assert one.release().training == ()
    assert entered.wait(20)


def test_a_worker_that_went_on_by_itself_makes_the_export_inconsistent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate_cut, "LEASE_SECS", 0.4)
    alone = Cluster.local(ps=0, workers=1, chief=True)
    server = ChiefService(alone)
    server.start()
    worker = Worker(alone, "worker:0")
    one = GateCut(alone, Gate(), server, 20.0)
    one.acquire()
    lose(server, worker, "worker:0")
    with worker.gate.step():  # its lease has to end first
        pass
    with pytest.raises(InconsistentError, match="worker:0 may have trained on"):
        one.release()
    worker.membership.leave()
    server.end_job(succeeded=False, reason="the test is over")


def test_staging_that_takes_too_long_lets_all_go_and_fails(join: Join, cut: Cuts) -> None:
    worker, _ = join("worker:0"), join("worker:1")
    one = cut(4.0)
    one.acquire()
    with worker.gate.step():
        pass
    with pytest.raises(CutTimeoutError, match="staging took so long"):
        one.release()


def test_an_extended_cut_lasts_as_long_as_it_is_wanted(join: Join, cut: Cuts) -> None:
    worker, _ = join("worker:0"), join("worker:1")
    one = cut(3.0)
    one.acquire()
    one.extend()
    entered = threading.Event()
    threading.Thread(target=lambda: worker.gate.step().__enter__() or entered.set(), daemon=True).start()
    assert not entered.wait(3.5)
    assert one.release().training == ()
    assert entered.wait(20)


def test_an_extended_cut_lets_all_go_when_streaming_stalls(join: Join, cut: Cuts) -> None:
    """A frozen disk under the export must not stop the training for ever."""
    worker, _ = join("worker:0"), join("worker:1")
    one = cut()
    one.acquire()
    stalled = threading.Event()
    one.extend(stalled.is_set)
    entered = threading.Event()
    threading.Thread(target=lambda: worker.gate.step().__enter__() or entered.set(), daemon=True).start()
    assert not entered.wait(1)
    stalled.set()
    assert entered.wait(20)
    with pytest.raises(CutTimeoutError, match="nothing was streamed for so long that the workers were let go"):
        one.release()


def test_an_interrupted_cut_lets_all_go(join: Join, cut: Cuts, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = join("worker:0")
    one = cut()
    monkeypatch.setattr(one, "_wait_until_parked", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        one.acquire()
    with worker.gate.step():
        pass


def test_a_process_without_a_cluster_stops_its_own_threads() -> None:
    gate = Gate()
    one = GateCut(Cluster.single(), gate, NoWorkers(), 20.0)
    with stepping(gate) as end:
        ender = threading.Timer(0.1, end)
        ender.start()
        one.acquire()
        ender.join()
    assert gate.standing is Standing.PARKED
    assert sum(one.release().steps.values()) == 1
