"""Whatever way a run takes into a session of ours, it is a step if it changes variables; and cuts stop it there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import config_pb2

import autodist_saved as ads
from autodist_saved.control.gate import Standing
from autodist_saved.cut.cut import NoCut
from autodist_saved.cut.gate_cut import GateCut
from autodist_saved.errors import UsageError
from autodist_saved.job import gated_session
from autodist_saved.job.gated_session import GatedSession
from autodist_saved.job.job import Job
from autodist_saved.job.job_of import job_of
from autodist_saved.options import ExportOptions
from tests.support.patience import PATIENCE_SECS

STEP = ExportOptions()


@pytest.fixture(scope="module")
def target() -> str:
    """Of a TensorFlow server in this process, a worker without others."""
    (address,) = ads.Cluster.local(ps=0, workers=1).addresses["worker"]
    server = tf.distribute.Server(tf.train.ClusterSpec({"worker": [address]}), job_name="worker", task_index=0)
    return str(server.target)


@pytest.fixture
def add(graph: tf.Graph) -> Any:
    return v1.assign_add(v1.get_variable("w", initializer=0.0, use_resource=True), 1.0).op


@pytest.fixture
def session(add: Any) -> Iterator[ads.DistributedSession]:
    with ads.create_distributed_session(ads.Cluster.single(), saver=ads.Saver()) as session:
        yield session


def private_callable(session: v1.Session, op: Any) -> Any:
    """What Keras trains with in a session."""
    options = config_pb2.CallableOptions(target=[op.name])
    return session._make_callable_from_options(options)


def test_every_way_to_run_a_step_passes_the_gate(add: Any, session: ads.DistributedSession) -> None:
    raw = session.raw_session()
    ways = [
        lambda: session.run(add),
        lambda: session.run_step_fn(lambda step_context: step_context.run_with_hooks(add)),
        lambda: session.run_step_fn(lambda step_context: step_context.session.run(add)),
        lambda: raw.run([add]),
        raw.make_callable(add),
        lambda: add.run(session=raw),
        private_callable(raw, add),
    ]
    for number, way in enumerate(ways, 1):
        way()
        assert session.gate.steps == number


def test_a_part_of_a_run_is_a_step(graph: tf.Graph) -> None:
    add = v1.assign_add(v1.get_variable("w", initializer=0.0, use_resource=False), 1.0)
    with ads.create_distributed_session(ads.Cluster.single(), saver=ads.Saver()) as session:
        raw = session.raw_session()
        assert raw.partial_run(raw.partial_run_setup([add]), add) == 1
        assert session.gate.steps == 1


def test_reading_is_no_step(add: Any, session: ads.DistributedSession) -> None:
    session.run("w:0")
    session.raw_session().make_callable("w:0")()
    assert session.gate.steps == 0


def test_the_session_is_still_a_session(add: Any, session: ads.DistributedSession) -> None:
    raw = session.raw_session()
    assert isinstance(raw, v1.Session)
    with raw.as_default():
        add.run()
    assert session.gate.steps == 1


def test_threads_of_one_process_stop_for_its_cut(add: Any, session: ads.DistributedSession) -> None:
    cut = job_of(session).cut_for(STEP)
    assert isinstance(cut, GateCut)
    cut.acquire()
    assert session.gate.standing is Standing.PARKED
    done = threading.Event()
    thread = threading.Thread(target=lambda: (session.raw_session().run(add), done.set()))
    thread.start()
    assert not done.wait(0.2)
    assert cut.release().training == ()
    thread.join()
    assert done.is_set()


def test_a_plain_session_of_one_process_is_its_own_cut(graph: tf.Graph) -> None:
    with v1.Session() as session:
        cut = job_of(session).cut_for(STEP)
    assert isinstance(cut, NoCut)
    cut.acquire()
    assert cut.release().training == ()


def test_a_plain_session_that_reaches_one_worker_alone_is_its_own_cut(graph: tf.Graph, target: str) -> None:
    with v1.Session(target) as session:
        assert isinstance(job_of(session).cut_for(STEP), NoCut)


def test_a_plain_session_that_shares_its_variables_with_other_workers_is_refused(
    graph: tf.Graph, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = ads.Cluster.local(ps=1, workers=2)
    monkeypatch.setitem(os.environ, "TF_CONFIG", cluster.tf_config(ads.Task("worker", 0)))
    with v1.Session(target) as session:
        with pytest.raises(UsageError, match=r"worker:1 may train on .+create_distributed_session\(\)"):
            job_of(session).cut_for(STEP)
        cut = job_of(session).cut_for(ExportOptions(consistency="none"))
        cut.acquire()
        assert cut.release().training == ("worker:1",)


def test_a_plain_session_that_hides_the_others_is_refused(graph: tf.Graph, target: str) -> None:
    config = v1.ConfigProto(device_filters=["/job:ps"])
    with v1.Session(target, config=config) as session, pytest.raises(UsageError, match="nobody can name"):
        job_of(session).cut_for(STEP)


@pytest.fixture
def reached(graph: tf.Graph, target: str) -> Iterator[GatedSession]:
    """A session on a server, and not in this process alone."""
    session = GatedSession.adopt(v1.Session(target, graph=graph), Job(ads.Cluster.single(), ads.SessionOptions()))
    yield session
    session.close()


def test_nothing_is_run_once_a_parameter_server_is_lost(add: Any, reached: GatedSession) -> None:
    reached.run(v1.global_variables_initializer())
    ways = [lambda: reached.run("w:0"), reached.make_callable("w:0"), private_callable(reached, add)]
    for way in ways:
        way()
    reached.lose("ps:0")
    for way in ways:
        with pytest.raises(tf.errors.AbortedError, match="ps:0 is lost"):
            way()


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "not told"])
def test_a_session_that_cannot_be_closed_is_left_when_its_parameter_server_is_lost(
    graph: tf.Graph, reached: GatedSession, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    """At the end of a job nobody tells."""
    monkeypatch.setattr(gated_session, "CLOSING_SECS", 3600 if is_told else 1.0)
    has_begun, may_end = threading.Event(), threading.Event()

    def answer() -> np.int64:  # such as a task that TensorFlow waits for when it closes a session
        has_begun.set()
        may_end.wait()
        return np.int64(0)

    answered = tf.numpy_function(answer, [], tf.int64)

    def run() -> None:
        with pytest.raises(tf.errors.OpError):
            reached.run(answered)

    running = threading.Thread(target=run)
    running.start()
    has_begun.wait()
    closing = threading.Thread(target=reached.close)
    closing.start()
    closing.join(0.5)
    assert closing.is_alive()
    if is_told:
        reached.lose("ps:0")
    closing.join(PATIENCE_SECS)
    assert not closing.is_alive()
    assert not reached.wait_until_idle(0.1)
    may_end.set()
    running.join()
    assert reached.wait_until_idle(0)


@pytest.mark.slow
def test_a_program_ends_that_has_not_closed_its_session() -> None:
    program = """
import tensorflow as tf, autodist_saved as ads
from autodist_saved.job.gated_session import GatedSession
from autodist_saved.job.job import Job
v1 = tf.compat.v1
server = tf.distribute.Server.create_local_server()
with tf.Graph().as_default() as graph:
    x = tf.constant(1)
session = GatedSession.adopt(v1.Session(server.target, graph=graph), Job(ads.Cluster.single(), ads.SessionOptions()))
session.run(x)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
