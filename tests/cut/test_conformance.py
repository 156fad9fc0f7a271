"""Every cut keeps the contract of cuts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from autodist_saved.cluster import Cluster, Task
from autodist_saved.control.chief_service import ChiefService
from autodist_saved.control.gate import Gate
from autodist_saved.control.member import NoWorkers
from autodist_saved.control.member_client import MemberClient
from autodist_saved.cut.cut import Cut, NoCut, Standstill
from autodist_saved.cut.gate_cut import GateCut
from autodist_saved.options import SessionOptions
from autodist_saved.testing import CutConformance, RecordingCut, StoppingCutConformance


class TestNoCut(CutConformance):
    def make(self, timeout_secs: float = 60.0) -> Cut:
        return NoCut(lambda: ("worker:0",))

    def step(self, work: Callable[[], object]) -> None:
        work()


class TestRecordingCut(CutConformance):
    def make(self, timeout_secs: float = 60.0) -> Cut:
        return RecordingCut()

    def step(self, work: Callable[[], object]) -> None:
        work()


class GateCutConformance(StoppingCutConformance):
    """Of a gate that writers pass."""

    cluster: Cluster
    gate: Gate

    def step(self, work: Callable[[], object]) -> None:
        with self.gate.step():
            work()


class TestGateCutOfOneProcess(GateCutConformance):
    @pytest.fixture(autouse=True)
    def process(self) -> None:
        self.gate, self.turn = Gate(), threading.Lock()

    def make(self, timeout_secs: float = 60.0) -> Cut:
        return GateCut(Cluster.single(), self.gate, NoWorkers(), timeout_secs, turn=self.turn)


class TestGateCutOfAJob(GateCutConformance):
    """Writers of a worker, over a real control service."""

    @pytest.fixture(autouse=True)
    def job(self) -> Iterator[None]:
        self.cluster = Cluster.local(ps=0, workers=1, chief=True)
        self.gate, self.turn = Gate(), threading.Lock()
        self.server = ChiefService(self.cluster)
        self.server.start()
        options = SessionOptions(start_timeout_secs=20, chief_timeout_secs=20)
        worker = MemberClient(self.cluster.for_task(Task("worker", 0)), options, gate=self.gate)
        worker.join()
        # A cut of a task that has just joined waits for what a process before it may have sent.
        first = GateCut(self.cluster, Gate(), self.server, 60.0, turn=self.turn)
        first.acquire()
        first.release()
        yield
        worker.leave()
        self.server.end_job(succeeded=False, reason="the test is over")

    def make(self, timeout_secs: float = 60.0) -> Cut:
        return GateCut(self.cluster, Gate(), self.server, timeout_secs, turn=self.turn)


def test_no_cut_names_those_who_trained_when_it_began() -> None:
    training = ["worker:0"]
    cut = NoCut(lambda: tuple(training))
    cut.acquire()
    training.clear()
    assert cut.release() == Standstill(("worker:0",))


def test_the_double_notes_what_was_asked_of_it_and_says_what_it_was_told_to() -> None:
    seen = Standstill(epoch=7)
    cut = RecordingCut(seen)
    cut.acquire()
    cut.extend()
    assert cut.release() is seen
    assert cut.calls == ["acquire", "extend", "release"]
