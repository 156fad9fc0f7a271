"""A chief that publishes is killed at every moment of an export: no version is in part, and the next one goes on.

``KILLS=5`` in the environment does it five times at each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster
from tests.support.jobs.paused import COMMIT, PHASES
from tests.support.pausable_job import PausableJob
from tests.support.published import leftovers, step_of

KILLS = int(os.environ.get("KILLS", "1"))
SCHEDULE = '{"every_secs": 0.3, "on_error": "warn"}'


class PublishingJob(PausableJob):
    """A job with a base directory, and what was seen in that."""

    def __init__(self, results: Path) -> None:
        super().__init__(Cluster.local(ps=1, workers=1, chief=True), results)
        self.base = results / "base"
        self.step_of: dict[int, int] = {}

    def begin_task(self, task: str) -> None:
        (self.results / f"began-{task}.json").unlink(missing_ok=True)
        self.begin(task, {"SCHEDULE": SCHEDULE})

    def kill_chief_at(self, moment: str) -> None:
        self.pause_at(moment)
        self.lose("chief:0")
        self.go_on()

    def look(self) -> int:
        """Every version that there is loads; the newest of them."""
        versions = sorted(int(path.name) for path in self.base.iterdir() if path.name.isdigit())
        for version in versions:
            is_removed = version < versions[-1] and not (self.base / str(version) / "saved_model.pb").exists()
            if version not in self.step_of and not is_removed:
                self.step_of[version] = _loaded_step_of(self.base / str(version))
        return versions[-1]


def _loaded_step_of(model: Path) -> int:
    """All of it is read. A step that the chief was killed in is in the job in part, whatever is exported."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.loader.load(session, ["serve"], str(model))
    return step_of(model)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublishingJob]:
    job = PublishingJob(tmp_path_factory.mktemp("job"))
    try:
        for task in map(str, job.cluster.tasks):
            job.begin_task(task)
        job.wait_for("began-worker:0")
        job.wait_for_checkpoint(0)
        yield job
    finally:
        job.end()


@pytest.mark.parametrize("moment", PHASES + COMMIT)
@pytest.mark.parametrize("turn", range(KILLS))
def test_a_chief_killed_at_any_moment(job: PublishingJob, moment: str, turn: int) -> None:
    if "chief:0" not in job.processes:  # after a test that has failed
        job.begin_task("chief:0")
    job.wait_for_version(above=3)  # old ones are removed by then
    job.kill_chief_at(moment)
    newest = job.look()
    left = leftovers(job.base)
    assert bool(left) == (moment not in {"plan", "describe", "open", "retention", "removal"})
    job.begin_task("chief:0")
    assert job.wait_for_version(above=newest) == newest + 1
    assert job.found("began-chief:0") > 0, "it goes on from its checkpoint"
    assert not set(left) & set(leftovers(job.base))
    steps = job.steps("worker:0")
    job.wait_until(lambda: job.steps("worker:0") > steps, "step of worker:0")
