"""Real jobs whose tasks die, stop or fail: nobody stays behind, and everybody says why it ended.

There is no launcher here that could clear up: each task finds out by itself.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
import tensorflow as tf

from autodist_saved.cluster import Cluster, ControlFiles
from autodist_saved.control.console_client import ConsoleClient
from autodist_saved.errors import AutodistSavedError
from tests.support.job import PATIENCE_SECS, Job, leave

TASKS = ["chief:0", "worker:0", "ps:0", "ps:1"]


@pytest.fixture
def training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Job]]:
    """Starts a job and waits until all of its tasks are under way."""
    jobs: list[Job] = []

    def start(**environ: str) -> Job:
        job = Job(Cluster.local(ps=2, workers=1, chief=True), tmp_path_factory.mktemp("job"))
        jobs.append(job)
        job.start("train_until_told.py", environ)
        for task in TASKS:
            job.wait_for(f"pid-{task}")
        return job

    yield start
    for job in jobs:
        job.end()


def test_a_killed_chief_ends_every_task(training: Callable[..., Job]) -> None:
    job = training()
    job.kill("chief:0")
    statuses = job.wait()
    assert all(statuses.values())
    for task in ("worker:0", "ps:0", "ps:1"):
        assert f"ChiefLostError: {task} has not heard from chief:0" in job.log(task)


def test_a_worker_in_a_step_that_never_ends_finds_out_that_its_chief_is_gone(training: Callable[..., Job]) -> None:
    job = training(BLOCK="worker:0")
    job.kill("chief:0")
    assert all(job.wait().values())
    assert "ChiefLostError: worker:0 has not heard from chief:0" in job.log("worker:0")


def test_a_chief_that_fails_ends_every_task_with_its_reason(training: Callable[..., Job]) -> None:
    job = training(FAIL="1")
    leave(job.results, "stop-chief:0", True)
    statuses = job.wait()
    assert all(statuses.values())
    for task in ("worker:0", "ps:0", "ps:1"):
        assert "the chief ended the job: chief:0: ArithmeticError: the loss is NaN" in job.log(task)
        assert "Traceback" not in job.log(task), "it would explain nothing"
    assert "Traceback" in job.log("chief:0")


def test_an_interrupted_chief_ends_every_task(training: Callable[..., Job]) -> None:
    job = training()
    job.kill("chief:0", signal.SIGINT)
    assert all(job.wait().values())
    assert "the chief ended the job: chief:0: KeyboardInterrupt" in job.log("ps:0")


def test_the_job_goes_on_without_a_killed_worker_and_ends_well(training: Callable[..., Job]) -> None:
    job = training()
    job.kill("worker:0")
    job.processes["worker:0"].wait()
    leave(job.results, "stop-chief:0", True)
    statuses = job.wait()
    assert statuses == {"chief:0": 0, "worker:0": -signal.SIGKILL, "ps:0": 0, "ps:1": 0}
    assert "worker:0 is lost: its connection broke without a goodbye" in job.log("chief:0")


def test_a_killed_parameter_server_that_comes_back_is_restored_from_the_checkpoint(
    training: Callable[..., Job],
) -> None:
    job = training()
    job.wait_for_checkpoint(50)
    job.kill("ps:0")
    job.processes["ps:0"].wait()
    job.start_task("ps:0", "train_until_told.py")
    job.wait_for_log("chief:0", "ps:0 is lost with its variables; the session is made anew")
    leave(job.results, "stop-worker:0", True)
    job.processes["worker:0"].wait(PATIENCE_SECS)
    leave(job.results, "stop-chief:0", True)
    assert set(job.wait().values()) == {0}, job.logs()
    assert job.found("step-at-the-end") >= 50


def test_versions_go_on_after_the_loss_of_a_parameter_server_and_an_export_without_it_fails(
    training: Callable[..., Job],
) -> None:
    job = training(PUBLISH="1", READ="1")  # reads beside the steps fail as well, and TensorFlow would keep them
    job.wait_for_checkpoint(50)
    job.wait_for_version(above=0)
    job.kill("ps:0")
    job.processes.pop("ps:0").wait()
    job.wait_for_log("chief:0", "ps:0 is lost with its variables; the session is made anew")
    with (
        ConsoleClient(job.cluster.control_address, ControlFiles()) as visitor,
        pytest.raises(AutodistSavedError, match="ps:0"),
    ):
        list(visitor.export(str(job.results / "base")))
    before = int(str((job.results / "base" / "latest").readlink()))
    job.wait_for_log("chief:0", "chief:0 waits for ps:0 ")
    job.start_task("ps:0", "train_until_told.py", {"PUBLISH": "1"})
    job.wait_for_version(above=before)
    for task in ("worker:0", "chief:0"):
        leave(job.results, f"stop-{task}", True)
        job.processes[task].wait(PATIENCE_SECS)
    assert set(job.wait().values()) == {0}, job.logs()
    last = job.results / "base" / "latest" / "variables" / "variables"
    assert tf.train.load_variable(str(last), "global_step") >= job.found("step-at-the-end")
    assert not [path for path in (job.results / "base").iterdir() if path.name.startswith(".version")]


def test_a_parameter_server_that_does_not_answer_any_more_holds_nobody_for_ever(training: Callable[..., Job]) -> None:
    job = training()
    job.kill("ps:0", signal.SIGSTOP)
    for task in ("chief:0", "worker:0"):
        assert job.processes[task].wait(PATIENCE_SECS) != 0
        assert "ps:0 does not answer, and TensorFlow waits for it for ever: this process ends itself" in job.log(task)


def test_a_checkpoint_does_not_wait_for_a_parameter_server_that_stops_while_it_prepares(
    training: Callable[..., Job],
) -> None:
    """The chief would wait in no call of TensorFlow, whose end nobody could bring about, but for minutes."""
    job = training()
    leave(job.results, "hold-ps:0", True)
    job.wait_for("held-ps:0")
    job.kill("ps:0", signal.SIGSTOP)
    job.wait_for_log("chief:0", "no checkpoint was written this time: ps:0 is lost; look at its own output")


def test_an_export_stops_a_worker_that_trains_on_and_lets_it_go(training: Callable[..., Job]) -> None:
    job = training(EXPORT="1")
    report = job.wait_for("report")
    witness = report["witness"]
    assert set(report["staging"].values()) == {"memory"}, "copied, for somebody waits for it"
    assert witness["training"] == []
    assert witness["global_step_before"] == witness["global_step_after"] == sum(witness["steps"].values())
    leave(job.results, "stop-worker:0", True)
    assert job.wait_for("done-worker:0") > witness["steps"]["worker:0"]


def test_the_end_of_the_chief_stops_a_worker_that_would_train_for_ever(training: Callable[..., Job]) -> None:
    job = training(WORKER_TIMEOUT_SECS="1")
    leave(job.results, "stop-chief:0", True)
    job.succeed()
    assert "still training, or never joined, after 1 s: worker:0" in job.log("chief:0")
    assert job.found("done-worker:0") > 5
