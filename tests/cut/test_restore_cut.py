"""The cut of a restore: who has to stand still for it, and that it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from autodist_saved.cluster import Cluster, Task
from autodist_saved.control.chief_service import ChiefService
from autodist_saved.control.gate import Gate, Standing
from autodist_saved.control.member_client import MemberClient
from autodist_saved.cut.gate_cut import GateCut
from autodist_saved.cut.restore_cut import RestoreCut
from autodist_saved.errors import CutTimeoutError
from autodist_saved.options import SessionOptions
from tests.support.patience import PATIENCE_SECS
from tests.support.stepping import stepping

OPTIONS = SessionOptions(start_timeout_secs=PATIENCE_SECS, chief_timeout_secs=PATIENCE_SECS)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster.local(ps=0, workers=2, chief=True)


@pytest.fixture
def server(cluster: Cluster) -> Iterator[ChiefService]:
    server = ChiefService(cluster)
    server.start()
    yield server
    server.end_job(succeeded=False, reason="the test is over")


Join = Callable[[str], Gate]


@pytest.fixture
def join(cluster: Cluster, server: ChiefService) -> Iterator[Join]:
    members: list[MemberClient] = []

    def make(task: str) -> Gate:
        gate = Gate()
        members.append(MemberClient(cluster.for_task(Task.parse(task)), OPTIONS, gate=gate))
        members[-1].join()
        return gate

    yield make
    for member in members:
        member.leave()


Make = Callable[..., RestoreCut]


@pytest.fixture
def cut(cluster: Cluster, server: ChiefService) -> Make:
    turn = threading.Lock()

    def make(timeout_secs: float = PATIENCE_SECS, *, gate: Gate | None = None, **arguments: bool) -> RestoreCut:
        return RestoreCut(cluster, gate or Gate(), server, timeout_secs, turn=turn, **arguments)

    return make


def test_all_stand_still_until_it_is_over(join: Join, cut: Make) -> None:
    gates = [join("worker:0"), join("worker:1")]
    one = cut()
    one.acquire()
    assert {gate.standing for gate in gates} == {Standing.PARKED}
    one.release()
    for gate in gates:
        with gate.step():
            pass


def test_who_restores_passes_its_own_gate_and_no_other_thread_does(join: Join, cut: Make) -> None:
    join("worker:0"), join("worker:1")
    gate, done = Gate(), threading.Event()

    def step() -> None:
        with gate.step():
            done.set()

    one = cut(gate=gate)
    one.acquire()
    other = threading.Thread(target=step)
    other.start()
    with gate.step():
        pass
    other.join(0.2)
    assert not done.is_set()
    one.release()
    other.join()
    assert gate.steps == 1
    assert not gate.is_inside


def test_a_session_that_is_made_anew_within_a_step_can_be_restored(join: Join, cut: Make) -> None:
    join("worker:0"), join("worker:1")
    gate = Gate()
    with gate.step():
        one = cut(gate=gate)
        one.acquire()
        one.release()
        assert gate.is_inside
    assert gate.standing is Standing.TRAINING


def test_a_worker_in_a_step_is_named_and_nothing_is_restored(join: Join, cut: Make) -> None:
    join("worker:0")
    gate = join("worker:1")
    first = cut()  # after this both are known to have nothing under way from before they joined
    first.acquire()
    first.release()
    with stepping(gate):
        one = cut(0.5)
        with pytest.raises(CutTimeoutError, match=r"so nothing was restored; raise start_timeout_secs.+\n  worker:1"):
            one.acquire()
    with gate.step():
        pass


def test_where_nothing_has_a_value_yet_only_those_who_have_joined_stand_still(join: Join, cut: Make) -> None:
    gate = join("worker:0")
    one = cut(strangers_train=False)
    one.acquire()
    assert gate.standing is Standing.PARKED
    newcomer = join("worker:1")
    assert newcomer.standing is Standing.PARKED
    one.release()
    for parked in (gate, newcomer):
        with parked.step():
            pass


def test_it_waits_for_an_export_to_let_the_workers_go(cluster: Cluster, server: ChiefService, join: Join) -> None:
    join("worker:0"), join("worker:1")
    turn, acquired = threading.Lock(), threading.Event()
    export = GateCut(cluster, Gate(), server, PATIENCE_SECS, turn=turn)
    export.acquire()

    def restore() -> None:
        cut = RestoreCut(cluster, Gate(), server, PATIENCE_SECS, turn=turn)
        cut.acquire()
        acquired.set()
        cut.release()

    thread = threading.Thread(target=restore)
    thread.start()
    assert not acquired.wait(0.2)
    export.release()
    thread.join()
    assert acquired.is_set()
