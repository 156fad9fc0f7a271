"""Serving graphs of a job on two parameter servers: whole variables, and the job's answers to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from autodist_saved.cluster import Cluster
from tests.support.job import Job
from tests.support.jobs.serving import IDS
from tests.support.served import ask, ops, variables

SERVED = {"rows": (1000, 16), "columns": (16, 16), "grid": (1000, 16), "neighbours": (1000,)}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """A finished job."""
    job = Job(Cluster.local(ps=2, workers=0, chief=True), tmp_path_factory.mktemp("serving"))
    try:
        job.start("serving.py")
        job.succeed()
        yield job
    finally:
        job.end()


@pytest.mark.parametrize("model", ["both", "served"])
def test_the_answers_are_those_of_the_live_job_to_the_bit(job: Job, model: str) -> None:
    answers, meta_graph = ask(job.results / model, {"x": IDS})
    np.testing.assert_array_equal(answers["y"], np.float32(job.found("answers")))
    held = [node for node in meta_graph.graph_def.node if node.op in {"VarHandleOp", "VariableV2"}]
    assert {node.name: tuple(d.size for d in node.attr["shape"].shape.dim) for node in held} == SERVED
    assert not {"DynamicPartition", "ParallelDynamicStitch"} & set(ops(meta_graph))


def test_tensorflow_2_gets_the_same_answers(job: Job) -> None:
    signature = tf.saved_model.load(str(job.results / "both"), tags=["serve"]).signatures["serving_default"]
    np.testing.assert_array_equal(signature(x=tf.constant(IDS))["y"], np.float32(job.found("answers")))


def test_a_third_of_the_bytes_is_written(job: Job) -> None:
    def written(model: str) -> int:
        return sum(path.stat().st_size for path in (job.results / model / "variables").iterdir())

    assert {name: value.shape for name, value in variables(job.results / "served").items()} == SERVED
    assert written("served") <= 0.34 * written("both")
    assert job.found("report")["nbytes"] == 4 * sum(int(np.prod(shape)) for shape in SERVED.values())


def test_nothing_tells_that_there_was_a_cluster(job: Job) -> None:
    devices = job.found("devices")
    assert any("/job:ps/task:1" in device for device in devices), "the job did use the cluster"
    graph = Path(job.results, "served", "saved_model.pb").read_bytes()
    for trace in (b"part_", b"piece_", b"/job:", b"autodist", b"ConcatPartitions", b"save_slice"):
        assert trace not in graph
