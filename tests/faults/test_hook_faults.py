"""A job trains on while its disk is full, read-only or in somebody's way, and while another job has its base."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lone_job import LoneJob
from tests.support.versions import linked, make_version

MIB = 2**20
HOUR_SECS = 3600
SCHEDULE = {"every_secs": 0.2, "on_error": "warn"}
NOBODY = 65534


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of one MiB."""
    place = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture(scope="module")
def job(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneJob]:
    """One that publishes on the disk."""
    job = LoneJob(tmp_path_factory.mktemp("job"), disk / "base", **SCHEDULE)
    try:
        job.wait_until_training()
        yield job
    finally:
        job.end()


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody may write to, on a path that everybody may walk: pytest's is for its user alone."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        Path(place).chmod(0o777)
        yield Path(place)


@pytest.mark.root
@pytest.mark.parametrize("phase", ["open", "stream", "verify", "commit"])
def test_training_goes_on_though_the_disk_is_full(job: LoneJob, disk: Path, phase: str) -> None:
    job.publish_on()
    job.pause_at(phase)
    said, before, hog = job.said, job.newest(), disk / "hog"
    try:
        with pytest.raises(OSError, match="No space left"):
            hog.write_bytes(bytes(MIB))
        job.go_on()
        job.fail_with("free some space, or choose another place|free some or choose another directory", said)
        assert job.newest() == before
    finally:
        hog.unlink()
    job.publish_on()


@pytest.mark.root
def test_training_goes_on_though_the_disk_is_read_only(job: LoneJob, disk: Path) -> None:
    job.pause_at("stream")
    said = job.said
    # What the job has open for writing keeps the disk itself from being mounted so.
    subprocess.run(["mount", "--bind", disk, disk], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
        job.go_on()
        job.fail_with(r"\(Read-only file system\); choose another place", said)
        job.fail_with("mounted read-only; choose another export directory", job.said)
    finally:
        subprocess.run(["umount", disk], check=True)
    job.publish_on()


@pytest.mark.root
def test_training_goes_on_though_a_permission_is_missing(public: Path) -> None:
    base = public / "base"
    job = LoneJob(public / "job", base, become=NOBODY, **SCHEDULE)
    job.results.chmod(0o777)
    try:
        job.wait_until_training()
        job.publish_on()
        said = job.said
        base.chmod(0o555)
        job.fail_with("change", said)
        job.fail_with(f"this user cannot write to {base}; change its permissions", job.said)
        base.chmod(0o777)
        job.publish_on()
    finally:
        job.end()


@pytest.mark.root
@pytest.mark.parametrize("what", ["file", "disk"])
def test_what_is_in_the_way_of_a_version_is_passed_over(job: LoneJob, what: str) -> None:
    job.publish_on()
    job.pause_at("commit")
    said, place = job.said, job.base / str(job.newest() + 1)
    if what == "file":
        place.write_text("somebody's")
    else:
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    try:
        job.go_on()
        job.publish_on()
        assert f"{place} is not a model and is left alone" in job.said[len(said) :]
        assert f"exported to {job.base / str(int(place.name) + 1)} " in job.said
        assert place.exists()
    finally:
        if what == "disk":
            subprocess.run(["umount", place], check=True)


def test_after_nine_comes_ten(tmp_path: Path) -> None:
    for number in (8, 9):
        make_version(tmp_path / "base", number)
    job = LoneJob(tmp_path / "job", tmp_path / "base", **SCHEDULE)
    try:
        job.wait_for("began-worker:0")
        job.publish_on()
        job.stop()
    finally:
        job.end()
    published = [int(Path(path).name) for path in job.found("done-worker:0")]
    assert published == list(range(10, 10 + len(published)))
    assert job.versions() == published[-2:]
    assert linked(job.base) == str(published[-1])


@pytest.mark.root
def test_the_clock_may_be_set_back_while_a_job_trains_and_the_next_job_is_told(job: LoneJob, tmp_path: Path) -> None:
    later = time.time() + HOUR_SECS
    job.publish_on()
    job.pause_at("plan")
    for path in (job.base / str(job.newest()) / "saved_model.pb", job.base):
        os.utime(path, (later, later))
    shutil.copytree(job.base, tmp_path / "base", symlinks=True, ignore=shutil.ignore_patterns(".*"))
    dated = job.newest()
    job.go_on()
    job.publish_on()
    job.publish_on()
    assert dated not in job.versions(), "it has expired as any other"
    following = LoneJob(tmp_path / "next", tmp_path / "base", **SCHEDULE)
    try:
        assert following.wait() == {"worker:0": 1}
        assert "seconds in the future" in following.said
        assert "set the clock of this machine" in following.said
    finally:
        following.end()


@pytest.mark.parametrize("on_error", ["warn", "fail"])
def test_of_two_jobs_on_one_base_one_publishes(tmp_path: Path, on_error: str) -> None:
    base, schedule = tmp_path / "base", {**SCHEDULE, "on_error": on_error}
    jobs = [LoneJob(tmp_path / "first", base, **schedule)]
    first = jobs[0]
    try:
        first.wait_until_training()
        jobs.append(second := LoneJob(tmp_path / "second", base, **schedule))
        assert second.wait() == {"worker:0": 1}, "it is refused before it trains"
        assert "PreflightError" in second.said
        assert f"another process publishes to {base}: {name_of(first)}" in second.said
        assert "end that process first, or publish to another base directory" in second.said
        first.publish_on()

        first.pause_at("commit")
        said = first.said
        (base / ".autodist_saved-owner").unlink()  # a network file system that has lost its locks
        jobs.append(third := LoneJob(tmp_path / "third", base, **schedule))
        third.wait_until_training()
        first.go_on()
        if on_error == "fail":
            assert first.wait() == {"worker:0": 1}
            assert f"OwnershipLostError: another process publishes to {base}: {name_of(third)}" in first.said
        else:
            first.fail_with(re.escape(f"publishes to {base}: {name_of(third)}"), said)
        third.publish_on()
        third.stop()
        if on_error == "warn":
            first.publish_on()
        assert first.versions() == third.versions()
    finally:
        for job in jobs:
            job.end()


def name_of(job: LoneJob) -> str:
    return f"process {job.pid} on {socket.gethostname()} (worker:0)"
