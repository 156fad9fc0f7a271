"""A job that trains on answers what its models answer: two parameter servers, a chief and a worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from autodist_saved.cluster import Cluster
from tests.support.job import Job
from tests.support.jobs.verify import WAYS

PATIENCE_SECS = 400.0  # fresh processes get little of a busy machine
pytestmark = pytest.mark.timeout(PATIENCE_SECS + 60)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    job = Job(Cluster.local(ps=2, workers=1, chief=True), tmp_path_factory.mktemp("job"))
    try:
        job.start("verify.py")
        job.succeed(PATIENCE_SECS)
        yield job.found("exports-ended"), job.logs()
    finally:
        job.end()


def test_every_export_of_a_job_that_trains_on_answers_as_the_job_did(reports: Any) -> None:
    exports, logs = reports
    assert len(exports) == len(WAYS), logs
    for export in exports:
        assert export["answers"] == {
            "serve: rows": "equal for examples",
            "serve: total": "equal for made-up inputs (factor float32 ())",
        }


def test_training_went_on_between_and_during_exports(reports: Any) -> None:
    for task in ("chief:0", "worker:0"):
        steps = [export["witness"]["steps"][task] for export in reports[0]]
        assert steps == sorted(set(steps))


def test_staging_was_what_was_asked_for(reports: Any) -> None:
    for export, (staging, _) in zip(reports[0], WAYS, strict=True):
        assert staging == "auto" or set(export["staging"].values()) == {staging}
