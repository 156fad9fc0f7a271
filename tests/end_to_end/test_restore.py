"""Saved on three parameter servers, restored on one, two and five: equal to the bit, slots too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from autodist_saved.cluster import Cluster
from tests.support.job import Job


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A checkpoint of a job on three parameter servers."""
    job = Job(Cluster.local(ps=3, workers=1), tmp_path_factory.mktemp("saved"))
    try:
        job.start("repartition.py")
        job.succeed()
        yield str(job.results / "model")
    finally:
        job.end()


@pytest.mark.parametrize("parameter_servers", [1, 2, 5])
def test_a_job_on_other_parameter_servers_goes_on_where_it_was_left(
    saved: str, tmp_path_factory: pytest.TempPathFactory, parameter_servers: int
) -> None:
    job = Job(Cluster.local(ps=parameter_servers, workers=1), tmp_path_factory.mktemp("restored"))
    try:
        job.start("repartition.py", {"RESTORE": saved})
        job.succeed()
    finally:
        job.end()
    before, after = (tf.train.load_checkpoint(prefix) for prefix in (saved, str(job.results / "model")))
    names = before.get_variable_to_shape_map()
    assert names == after.get_variable_to_shape_map()
    assert {"rows/Adam", "columns/Adam_1", "grid", "grid/Adam", "global_step"} <= set(names)
    assert before.get_tensor("global_step") == 3
    assert before.get_tensor("rows/Adam").any()
    for name in names:
        np.testing.assert_array_equal(before.get_tensor(name), after.get_tensor(name))
