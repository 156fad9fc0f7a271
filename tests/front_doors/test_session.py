"""The distributed session in one process, and what it refuses or gives up in a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import ClusterConfigError, TaskUnreachableError
from autodist_saved.job.job import Job
from autodist_saved.job.session_creator import WorkerCreator
from autodist_saved.job.tensorflow_server import start_tensorflow_server

SINGLE = ads.Cluster.single()


@pytest.fixture
def train(graph: tf.Graph) -> Any:
    weight = v1.get_variable("w", initializer=1.0)
    v1.summary.scalar("weight", weight)
    step = v1.train.get_or_create_global_step()
    return v1.train.GradientDescentOptimizer(0.1).minimize(weight**2, global_step=step)


class Recorder(v1.train.SessionRunHook):
    def __init__(self) -> None:
        self.runs = 0
        self.ended = False

    def before_run(self, run_context: Any) -> None:
        self.runs += 1

    def end(self, session: Any) -> None:
        self.ended = True


def test_it_is_a_monitored_session_with_all_its_hooks(train: Any, tmp_path: Path) -> None:
    everywhere, chief_only = Recorder(), Recorder()
    session = ads.create_distributed_session(
        SINGLE,
        saver=ads.Saver(),
        checkpoint_dir=str(tmp_path),
        hooks=[everywhere],
        chief_only_hooks=[chief_only],
        save_checkpoint_steps=2,
        save_summaries_steps=1,
        log_step_count_steps=1,
    )
    assert isinstance(session, v1.train.MonitoredSession)
    for _ in range(5):
        session.run(train)
    assert session.cluster is SINGLE
    assert session.wait_for_workers() == session.workers_training() == ()
    session.close()
    assert (everywhere.runs, chief_only.runs) == (5, 5)
    assert everywhere.ended
    assert chief_only.ended
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-5")
    (events,) = tmp_path.glob("events.*")
    tags = {value.tag for event in v1.train.summary_iterator(str(events)) for value in event.summary.value}
    assert {"weight", "global_step/sec"} <= tags


def test_without_a_directory_nothing_is_written(train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ads.create_distributed_session(SINGLE, saver=ads.Saver()) as session:
        session.run(train)
    assert not list(tmp_path.iterdir())


def test_the_session_inside_reads_when_training_should_stop(train: Any) -> None:
    hooks = [v1.train.StopAtStepHook(last_step=2)]
    with ads.create_distributed_session(SINGLE, hooks=hooks) as session:
        while not session.should_stop():
            session.run(train)
        assert session.raw_session().run(v1.train.get_global_step()) == 2


def test_an_error_of_the_program_comes_through(train: Any) -> None:
    with pytest.raises(ArithmeticError, match="mine"), ads.create_distributed_session(SINGLE):
        raise ArithmeticError("mine")


def test_the_end_of_the_data_is_a_good_end(train: Any) -> None:
    recorder = Recorder()
    with ads.create_distributed_session(SINGLE, hooks=[recorder]):
        raise tf.errors.OutOfRangeError(None, None, "no more flights")
    assert recorder.ended


def test_a_parameter_server_that_does_not_come_is_named(graph: tf.Graph) -> None:
    cluster = ads.Cluster.local(ps=2, workers=1).for_task(ads.Task("worker", 0))
    with pytest.raises(TaskUnreachableError) as caught:
        ads.create_distributed_session(cluster, options=ads.SessionOptions(start_timeout_secs=1))
    for task in ("ps:0", "ps:1"):
        assert f"{task} ({cluster.address(ads.Task.parse(task))})" in str(caught.value)
    assert "did not answer within 1 s; start it, check its address, or raise start_timeout_secs" in str(caught.value)


def test_a_chief_that_does_not_initialize_is_given_up(train: Any) -> None:
    options = ads.SessionOptions(start_timeout_secs=0.1)
    creator = WorkerCreator(v1.train.Scaffold(), "", None, Job(ads.Cluster.single(), options), options)
    with pytest.raises(TaskUnreachableError, match=r"the chief did not initialize the variables within 0\.1 s"):
        creator.create_session()


def test_a_worker_that_waits_for_the_chiefs_variables_ends_with_the_job(
    train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(ads.Cluster.single(), ads.SessionOptions())
    monkeypatch.setattr(job, "wait_until_over", lambda _: True)
    with pytest.raises(tf.errors.OutOfRangeError, match="the job is over"):
        WorkerCreator(v1.train.Scaffold(), "", None, job, ads.SessionOptions()).create_session()


def test_a_task_waits_for_nobody_but_the_chief_and_the_parameter_servers(graph: tf.Graph) -> None:
    # The cluster has a second worker that never comes; without device filters the first run would wait for it.
    cluster = ads.Cluster.local(ps=0, workers=2).for_task(ads.Task("worker", 0))
    v1.train.get_or_create_global_step()
    with ads.create_distributed_session(cluster, options=ads.SessionOptions(worker_timeout_secs=0)) as session:
        assert session.run(v1.train.get_global_step()) == 0


def test_an_address_that_is_taken_is_named(graph: tf.Graph) -> None:
    cluster = ads.Cluster.local(ps=1, workers=1)
    import socket

    address = cluster.address(ads.Task("ps", 0))
    with socket.socket() as taken:
        taken.bind(("localhost", int(address.rpartition(":")[2])))
        taken.listen()
        with pytest.raises(ClusterConfigError, match=f"address {address} of ps:0: it cannot be listened on"):
            start_tensorflow_server(cluster.for_task(ads.Task("ps", 0)))
