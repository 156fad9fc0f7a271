"""A job that publishes into an object store while it trains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster
from autodist_saved.system.paths import path_of
from tests.support.job import Job, leave
from tests.support.object_store import download, models


@pytest.fixture
def job(bucket: Path, tmp_path: Path) -> Iterator[Job]:
    job = Job(Cluster.local(ps=2, workers=1, chief=True), tmp_path)
    job.start("publish.py", {"EXPORT_BASE": f"{bucket}base"})
    try:
        yield job
    finally:
        job.end()


def test_a_job_publishes_versions_that_a_server_can_load(job: Job, bucket: Path, tmp_path: Path) -> None:
    job.wait_until(lambda: "3/saved_model.pb" in models(bucket / "base"), "version")
    leave(job.results, "stop", True)
    job.succeed()
    published = job.found("done-chief:0")
    assert published[0] == f"{bucket}base/1"
    copy = download(path_of(published[-1]), tmp_path / "copy")
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.loader.load(session, ["serve"], str(copy))
        step = int(tf.train.load_variable(str(copy / "variables" / "variables"), "global_step"))
        assert (session.run("numbers:0") == step).all(), "one moment of the job"
