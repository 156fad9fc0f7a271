"""Cuts of a real job that trains with SyncReplicasOptimizer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autodist_saved.cluster import Cluster
from tests.support.cut_job import CutJob
from tests.support.job import leave
from tests.support.patience import PATIENCE_SECS

WORKERS = ["worker:0", "worker:1"]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CutJob]:
    job = CutJob(
        Cluster.local(ps=2, workers=2, chief=True),
        tmp_path_factory.mktemp("synchronous"),
        environ={"SYNCHRONOUS": "1"},
    )
    try:
        job.train()
        yield job
    finally:
        job.end()


@pytest.mark.parametrize("thread", [True, False], ids=["beside_the_training", "between_two_steps"])
def test_every_piece_is_of_one_update_and_training_goes_on(job: CutJob, *, thread: bool) -> None:
    for _ in range(3):
        job.export(thread=thread).succeed()
    job.wait_for_steps()


def test_the_last_export_and_the_last_checkpoint_need_no_worker(job: CutJob) -> None:
    now = job.export().succeed()["witness"]["global_step_before"]
    leave(job.results, "last-step", now + 100)
    for task in WORKERS:
        assert job.processes[task].wait(PATIENCE_SECS) == 0, job.logs()
    assert job.export().succeed()["witness"]["global_step_before"] == now + 100
    leave(job.results, "stop-chief:0", True)
    job.wait_for_checkpoint(now + 100)
