"""Cuts of real jobs whose tasks do not park, die, come late or are interrupted meanwhile."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from autodist_saved.cluster import Cluster
from tests.support.cut_job import CutJob

WORKERS = ["worker:0", "worker:1"]
LOST = "is lost: its connection broke without a goodbye"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CutJob]:
    """A job, one worker of which has not come yet."""
    job = CutJob(Cluster.local(ps=2, workers=2, chief=True), tmp_path_factory.mktemp("cut"))
    try:
        job.train(without=["worker:1"])
        yield job
    finally:
        job.end()


@pytest.fixture
def job(cluster: CutJob) -> Iterator[CutJob]:
    """All tasks train, before and after the test."""
    cluster.train()
    yield cluster
    for task in WORKERS:
        cluster.let_go(task)
    cluster.train()
    assert cluster.leftovers() == []


def test_a_worker_that_joins_during_the_cut_is_parked_on_arrival(cluster: CutJob) -> None:
    cluster.train(without=["worker:1"])
    export = cluster.export(halt="after staging")
    export.wait_until_halted()
    cluster.begin("worker:1")
    cluster.wait_for("joined-worker:1")
    # It would train long before somebody else has taken a look.
    released = time.monotonic()
    export.go()
    report = export.succeed()
    assert report["witness"]["steps"].keys() >= {"chief:0", "worker:0"}
    cluster.train()
    assert cluster.steps("worker:1")[0] > released


def test_a_worker_that_never_parks_is_named_and_the_others_train_on(job: CutJob) -> None:
    steps = job.hold("worker:0")
    found = job.export(cut_timeout_secs=2).fail("CutTimeoutError")
    address = job.cluster.addresses["worker"][0]
    assert f"worker:0 ({address}): last heard of" in found["message"]
    assert f"parking after {steps} steps" in found["message"]
    assert "worker:1" not in found["message"]
    assert found["task"] == "worker:0"
    job.wait_for_steps(without=["worker:0"])
    job.let_go("worker:0")
    job.export().succeed()
    job.wait_for_steps()


def test_a_worker_killed_while_parked_is_no_loss_to_the_export(job: CutJob) -> None:
    deaths = job.export().succeed()["witness"]["deaths"]
    lost = job.log("chief:0").count(f"worker:1 {LOST}")
    export = job.export(halt="before staging")
    export.wait_until_halted()
    job.lose("worker:1")
    job.wait_for_another_log("chief:0", f"worker:1 {LOST}", lost)
    export.go()
    assert export.succeed()["witness"]["deaths"] == deaths + 1
    job.wait_for_steps()


def test_a_worker_killed_in_its_step_before_the_cut_is_waited_for_no_longer_than_its_last_writes(job: CutJob) -> None:
    deaths = job.export().succeed()["witness"]["deaths"]
    job.hold("worker:1")
    job.lose("worker:1")
    job.let_go("worker:1")
    assert job.export().succeed()["witness"]["deaths"] == deaths + 1
    job.wait_for_steps()


@pytest.mark.parametrize("where", ["cut", "before staging", "after staging", "streaming"])
def test_an_interrupt_lets_the_workers_go(job: CutJob, where: str) -> None:
    if where == "cut":
        job.hold("worker:1")
    export = job.export(halt=where)
    if where == "cut":
        asked = time.monotonic()
        job.wait_until(lambda: job.is_standing_still("worker:0", asked), "standstill of worker:0")
    else:
        export.wait_until_halted()
    job.kill("chief:0", signal.SIGINT)
    export.fail("KeyboardInterrupt")
    job.wait_for_steps(without=["worker:1"] if where == "cut" else [])
    job.let_go("worker:1")
    job.wait_for_steps()
    job.export().succeed()


@pytest.mark.parametrize("saver", [0, 1], ids=["one_saver", "two_savers"])
@pytest.mark.parametrize("when_busy", ["refuse", "wait"])
def test_a_second_export_at_the_same_time(job: CutJob, saver: int, when_busy: str) -> None:
    first = job.export(thread=True, halt="after staging")
    first.wait_until_halted()
    second = job.export(thread=True, saver=saver, when_busy=when_busy)
    if when_busy == "refuse":
        assert "another export" in second.fail("ExportError")["message"]
    first.go()
    report = first.succeed()
    if when_busy == "wait":
        later = second.succeed()["witness"]["global_step_before"]
        assert later >= report["witness"]["global_step_before"]
    job.wait_for_steps()


def test_an_export_that_waits_for_another_one_to_stream_lets_everybody_train(job: CutJob) -> None:
    first = job.export(thread=True, halt="streaming")
    first.wait_until_halted()
    second = job.export(thread=True, when_busy="wait")
    second.wait_until_taken()
    for task in job.trainers:
        count = len(job.steps(task))
        job.wait_until(lambda task=task, count=count: len(job.steps(task)) > count + 20, f"steps of {task}")
    first.go()
    first.succeed()
    second.succeed()
    job.wait_for_steps()
