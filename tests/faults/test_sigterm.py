"""SIGTERM at every moment of an export: the last version is there as a whole, or not at all, within its limit."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autodist_saved.publish.versioned import VersionedTarget
from tests.support.jobs.paused import COMMIT, PHASES
from tests.support.lone_job import LoneJob
from tests.support.published import leftovers, step_of
from tests.support.versions import publish

TERMINATED = 128 + signal.SIGTERM


@contextmanager
def paused(results: Path, moment: str, last_export_secs: float) -> Iterator[LoneJob]:
    """A job, an export of which is at that moment. It has ended after the block."""
    schedule = {"every_secs": 0.05, "on_error": "warn", "last_export_secs": last_export_secs}
    job = LoneJob(results, results / "base", **schedule)
    try:
        job.wait_until_training()  # what goes before rehearses an export, without signals
        job.pause_at(moment)
        yield job
    finally:
        job.end()


@pytest.mark.parametrize("moment", PHASES + COMMIT)
def test_with_time_enough_there_is_a_last_version(tmp_path: Path, moment: str) -> None:
    with paused(tmp_path, moment, last_export_secs=60) as job:
        before, steps = job.newest(), job.steps("worker:0")
        job.kill("worker:0", signal.SIGTERM)
        job.go_on()
        assert job.wait() == {"worker:0": TERMINATED}, job.logs()
    assert job.newest() > before
    newest = job.base / str(job.newest())
    assert step_of(newest) >= steps
    assert f"exported to {newest}" in job.said.partition("SIGTERM")[2]
    assert (job.base / "latest").resolve() == newest
    assert leftovers(job.base) == []


@pytest.mark.parametrize("moment", PHASES + COMMIT)
def test_with_too_little_time_there_is_no_part_of_one(tmp_path: Path, moment: str) -> None:
    with paused(tmp_path, moment, last_export_secs=0.1) as job:
        before = job.versions()
        job.kill("worker:0", signal.SIGTERM)
        assert job.wait() == {"worker:0": -signal.SIGTERM}, job.logs()
    assert "has not ended 0.1 s after SIGTERM: the process ends without it" in job.said
    assert job.versions() == before
    steps = [step_of(job.base / str(version)) for version in before]
    assert steps == sorted(steps)
    publish(VersionedTarget(job.base))
    assert leftovers(job.base) == [], "the next run has swept them"
