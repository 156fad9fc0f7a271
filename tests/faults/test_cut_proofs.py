"""Cuts of a real job that has lost a worker, by each proof that this one changes nothing any more."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from autodist_saved.cluster import Cluster
from tests.support.cut_job import CutJob

# What the kernel of the other tasks cannot tell of: a pid of another namespace.
OUT_OF_SIGHT = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
LOST = "is lost: its connection broke without a goodbye"

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CutJob]:
    job = CutJob(
        Cluster.local(ps=2, workers=2, chief=True),
        tmp_path_factory.mktemp("proofs"),
        environ={"TRAINING_LEASE_SECS": "2"},
        behind={"worker:1": OUT_OF_SIGHT},
    )
    try:
        yield job
    finally:
        job.end()


@pytest.fixture
def job(cluster: CutJob) -> CutJob:
    """All tasks train."""
    cluster.train()
    return cluster


def witness(job: CutJob, *, exact: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = job.export().succeed(exact=exact)["witness"]
    return found


def lose_before_it_writes(job: CutJob, task: str) -> None:
    """Kill a worker at the beginning of a step: so nothing of the step is in the variables."""
    seen = job.log("chief:0").count(f"{task} {LOST}")
    job.hold(task)
    job.lose(task)
    job.let_go(task)
    job.wait_for_another_log("chief:0", f"{task} {LOST}", seen)


def test_the_kernel_of_the_machine_tells_of_a_worker_that_was_killed(job: CutJob) -> None:
    before = witness(job)
    lose_before_it_writes(job, "worker:0")
    after = witness(job)
    assert after["shut_out"] == before["shut_out"]
    assert after["deaths"] == before["deaths"] + 1
    job.train()
    assert witness(job)["steps"].keys() == {"chief:0", "worker:0", "worker:1"}


def test_a_worker_that_is_stopped_is_shut_out_and_trains_on_when_it_is_back(job: CutJob) -> None:
    deaths = witness(job)["deaths"]
    job.hold("worker:0")
    job.kill("worker:0", signal.SIGSTOP)
    try:
        found = witness(job)
        assert "worker:0" in found["shut_out"]
        assert found["deaths"] == deaths
        job.wait_for_steps(without=["worker:0"])
    finally:
        job.kill("worker:0", signal.SIGCONT)
    job.let_go("worker:0")
    job.wait_for_steps()
    # Of the step that it was in, parameter servers may have got parts only.
    assert "worker:0" in witness(job, exact=False)["steps"]


def test_a_worker_killed_out_of_sight_is_shut_out_of_each_cut_and_its_successor_is_not(job: CutJob) -> None:
    deaths = witness(job, exact=False)["deaths"]
    lose_before_it_writes(job, "worker:1")
    for _ in range(2):
        found = witness(job, exact=False)
        assert found["shut_out"] == ["worker:1"]
        assert found["deaths"] == deaths
        job.wait_for_steps()
    job.train()
    found = witness(job, exact=False)
    assert found["shut_out"] == ["worker:1"], "nobody knows whether its first process has ended"
    assert found["steps"].keys() == {"chief:0", "worker:0", "worker:1"}
    job.wait_for_steps()
