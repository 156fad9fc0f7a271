"""The disk of an export hangs: the job trains on, and writes its checkpoints to another disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autodist_saved.cluster import Cluster
from tests.support.freezable_disk import FreezableDisk, needs_loop_devices
from tests.support.pausable_job import PausableJob

pytestmark = [pytest.mark.root, needs_loop_devices]

CLUSTERS = {"one process": Cluster.single, "a parameter server": lambda: Cluster.local(ps=1, workers=0, chief=True)}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FreezableDisk]:
    disk = FreezableDisk(tmp_path)
    disk.make()
    yield disk
    disk.remove()


@pytest.mark.parametrize("kind", CLUSTERS)
def test_training_and_checkpoints_go_on_while_the_disk_of_an_export_is_frozen(
    tmp_path: Path, disk: FreezableDisk, kind: str
) -> None:
    results, base = tmp_path / "job", disk.place / "base"
    results.mkdir()
    job = PausableJob(CLUSTERS[kind]().with_free_ports(), results)
    chief = str(job.cluster.chief)
    environ = {
        "SCHEDULE": '{"every_secs": 0.2, "on_error": "warn"}',
        "BASE": str(base),
        "CHECKPOINTS": "1",
        "SAVER": '{"cut_timeout_secs": 2}',
    }

    def newest() -> int:
        return max((int(path.name) for path in base.glob("[0-9]*")), default=0)

    try:
        for task in job.cluster.tasks:
            job.begin(str(task), environ)
        job.wait_for(f"began-{chief}")
        job.wait_until(lambda: newest() > 0, "version")
        job.pause_at("stream")
        published = newest()
        disk.freeze()
        job.go_on()
        job.wait_for_checkpoint(job.steps(chief) + 1)
        job.wait_for_log(chief, "has not advanced for 2 s; perhaps its disk hangs")
        job.wait_for_checkpoint(job.steps(chief) + 1)
        assert newest() == published
        disk.thaw()
        job.wait_until(lambda: newest() > published + 1, "version")
        assert ("has taken the copies of this one" in job.log(chief)) == job.cluster.is_single, job.log(chief)
    finally:
        disk.thaw()
        job.end()
