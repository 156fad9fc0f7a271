"""Cuts of real jobs whose chief or parameter servers are killed meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from autodist_saved.cluster import Cluster
from autodist_saved.cut.gate_cut import LEASE_SECS
from tests.support.cut_job import CutJob
from tests.support.job import leave

MADE_ANEW = "ps:1 is lost with its variables; the session is made anew"
WORKERS = ["worker:0", "worker:1"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CutJob]:
    job = CutJob(Cluster.local(ps=2, workers=2, chief=True), tmp_path_factory.mktemp("losses"))
    try:
        yield job
    finally:
        job.end()


@pytest.fixture
def job(cluster: CutJob) -> CutJob:
    """All tasks train."""
    cluster.train()
    return cluster


@pytest.mark.parametrize(
    ("where", "noticed"),
    [("before staging", False), ("before staging", True), ("streaming", False)],
    ids=["staging", "staging_when_it_is_noticed", "streaming"],
)
def test_a_lost_parameter_server_fails_the_export_by_name(job: CutJob, where: str, *, noticed: bool) -> None:
    seen = job.log("chief:0").count(MADE_ANEW)
    export = job.export(halt=where)
    export.wait_until_halted()
    job.lose("ps:1")
    if noticed:
        job.wait_for_another_log("chief:0", MADE_ANEW, seen)
    export.go()
    found = export.fail("TaskUnreachableError")
    assert "ps:1" in str(found["task"])
    job.train()
    job.export().succeed()


def test_workers_whose_chief_is_killed_go_on_after_their_lease_and_the_next_chief_exports(job: CutJob) -> None:
    job.export(halt="after staging", lease_secs=LEASE_SECS).wait_until_halted()
    job.lose("chief:0")
    killed = time.monotonic()
    for task in WORKERS:
        assert job.longest_pause(task, killed) > LEASE_SECS / 2, task
    job.train()
    witness = job.export().succeed()["witness"]
    assert witness["steps"].keys() == {"chief:0", *WORKERS}
    job.wait_for_steps()


def test_nobody_trains_while_the_next_chief_restores(job: CutJob) -> None:
    step = job.export().succeed()["witness"]["global_step_before"]
    job.wait_for_checkpoint(0)
    leave(job.results, "hold-restore", True)
    job.lose("chief:0")
    for task in WORKERS:
        count = len(job.steps(task))
        job.wait_until(lambda task=task, count=count: len(job.steps(task)) > count, f"step of {task}")
    began = time.monotonic()
    job.begin("chief:0")
    job.wait_for("restoring")
    for task in WORKERS:
        job.wait_until(lambda task=task: job.is_standing_still(task, began), f"standstill of {task}")
    (job.results / "hold-restore.json").unlink()
    job.train()
    assert job.export().succeed()["witness"]["global_step_before"] != step
    job.wait_for_steps()
