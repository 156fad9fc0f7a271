"""Signals to the tasks of a job that the chief needs: to all at once, as Kubernetes sends them, and to one alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster
from tests.support.pausable_job import PausableJob

TERMINATED = 128 + signal.SIGTERM
MEMBERS = ("worker:0", "ps:0", "ps:1")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., PausableJob]]:
    jobs: list[PausableJob] = []

    def start(**environ: str) -> PausableJob:
        job = PausableJob(Cluster.local(ps=2, workers=1, chief=True), tmp_path)
        jobs.append(job)
        for task in map(str, job.cluster.tasks):
            job.begin(task, {"SCHEDULE": "{}", **environ})
        for task in ("chief:0", "worker:0"):
            job.wait_for(f"began-{task}")
            job.wait_until(lambda task=task: job.steps(task) > 5, "step")
        return job

    yield start
    for job in jobs:
        job.end()


def test_told_all_at_once_the_job_ends_with_a_last_version(start: Callable[..., PausableJob]) -> None:
    job = start()
    for task in MEMBERS:
        job.kill(task, signal.SIGUSR1)
        job.wait_for_log(task, f"{task} ignores SIGUSR1: for an export send it to chief:0")
    job.pause_when_at("cut")
    for task in job.processes:
        job.kill(task, signal.SIGTERM)
    job.wait_for("paused")  # and nobody has ended
    assert all(process.poll() is None for process in job.processes.values())
    steps = job.steps("worker:0")
    job.wait_until(lambda: job.steps("worker:0") > steps, "step")
    job.go_on()
    assert job.wait() == dict.fromkeys(job.processes, TERMINATED), job.logs()
    assert not [task for task in job.processes if "Traceback" in job.log(task)], job.logs()
    model = job.results / "base" / "1"
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.loader.load(session, ["serve"], str(model))
    assert int(tf.train.load_variable(str(model / "variables" / "variables"), "global_step")) > 5


def test_who_is_not_told_ends_as_the_chief_does(start: Callable[..., PausableJob]) -> None:
    """As with ``launch``: the chief alone gets the signal. The job has ended as it was asked to."""
    job = start()
    job.kill("chief:0", signal.SIGTERM)
    assert job.wait() == dict.fromkeys(job.processes, TERMINATED), job.logs()
    for task in MEMBERS:
        assert f"{task} ends: chief:0 has received SIGTERM and ended the job" in job.log(task)
        assert "Traceback" not in job.log(task)
    assert (job.results / "base" / "1" / "saved_model.pb").exists()


def first_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.root
@pytest.mark.slow
def test_tasks_that_are_the_first_process_of_their_container_end_as_all_others(tmp_path: Path) -> None:
    """The kernel gives them no signal that they do not handle."""
    alone = ["unshare", "--pid", "--fork", "--kill-child"]
    job = PausableJob(Cluster.local(ps=1, workers=1, chief=True), tmp_path)
    try:
        job.start_task("ps:0", "paused.py", behind=alone)
        job.wait_for_log("ps:0", "waits for chief:0")
        os.kill(first_child(job.processes["ps:0"].pid), signal.SIGTERM)
        assert job.wait() == {"ps:0": TERMINATED}, "nobody trains yet"
        for task in map(str, job.cluster.tasks):
            job.start_task(task, "paused.py", {"SCHEDULE": "{}"}, behind=alone)
        for task in ("chief:0", "worker:0"):
            job.wait_for(f"began-{task}")
            job.wait_until(lambda task=task: job.steps(task) > 5, "step")
        for process in job.processes.values():
            os.kill(first_child(process.pid), signal.SIGTERM)
        assert job.wait() == dict.fromkeys(job.processes, TERMINATED), job.logs()
        assert not [task for task in job.processes if "Traceback" in job.log(task)], job.logs()
        assert (tmp_path / "base" / "1" / "saved_model.pb").exists()
    finally:
        job.end()


def test_who_is_told_ends_where_the_chief_is_gone(start: Callable[..., PausableJob]) -> None:
    job = start(OPTIONS='{"sigterm_secs": 3600}')
    job.lose("chief:0")
    for task in MEMBERS:
        job.kill(task, signal.SIGTERM)
    assert job.wait() == dict.fromkeys(MEMBERS, TERMINATED), job.logs()


def test_a_worker_that_is_told_alone_says_goodbye_and_the_job_goes_on(start: Callable[..., PausableJob]) -> None:
    job = start(OPTIONS='{"sigterm_secs": 0.2}')
    job.kill("worker:0", signal.SIGTERM)
    assert job.processes.pop("worker:0").wait() == TERMINATED, job.log("worker:0")
    job.wait_for_log("chief:0", "worker:0 has failed")
    steps = job.steps("chief:0")
    job.wait_until(lambda: job.steps("chief:0") > steps, "step")
    job.kill("chief:0", signal.SIGUSR1)
    assert job.wait_for_version(above=0) == 1
