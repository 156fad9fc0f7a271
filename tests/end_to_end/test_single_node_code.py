"""AutoDist's way of use, in one process and on a cluster of two parameter servers and one worker, its chief."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster
from tests.support.job import Job
from tests.support.jobs.single_node_code import WORDS, main


@pytest.fixture(scope="module", params=["one process", "cluster"])
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """A finished job."""
    job = Job(Cluster.local(ps=2, workers=1), tmp_path_factory.mktemp("single_node_code"))
    try:
        if request.param == "cluster":
            job.start("single_node_code.py")
            job.succeed()
        else:
            main(job.results)
        (job.results / "words.txt").unlink()
        yield job
    finally:
        job.end()


@pytest.fixture(params=["train", "serve"])
def loaded(request: pytest.FixtureRequest, job: Job) -> Iterator[tuple[v1.Session, Any]]:
    """A session of plain TensorFlow into which a meta graph of the model is loaded, and the meta graph."""
    with tf.Graph().as_default(), v1.Session() as session:
        yield session, v1.saved_model.loader.load(session, [request.param], str(job.results / "model"))


def test_plain_tensorflow_gets_the_jobs_answers(job: Job, loaded: tuple[v1.Session, Any]) -> None:
    session, meta_graph = loaded
    signature = meta_graph.signature_def["serving_default"]
    answers = session.run(signature.outputs["y"].name, {signature.inputs["x"].name: WORDS})
    np.testing.assert_array_equal(answers, np.float32(job.found("values")))


@pytest.mark.parametrize("loaded", ["train"], indirect=True)
def test_plain_tensorflow_trains_on(loaded: tuple[v1.Session, Any]) -> None:
    session, _ = loaded
    (train_op,) = v1.get_collection("saved_model_train_op")
    step = v1.train.get_global_step()
    assert session.run(step) == 10
    before = session.run("loss:0", {"x:0": WORDS})
    for _ in range(20):
        session.run(train_op, {"x:0": WORDS})
    assert session.run(step) == 30
    assert session.run("loss:0", {"x:0": WORDS}) < before


def test_no_device_of_the_cluster_is_in_the_model(job: Job) -> None:
    model = Path(job.results / "model" / "saved_model.pb").read_bytes()
    assert b"/job:" not in model
    assert b"autodist" not in model
