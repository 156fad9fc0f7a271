"""Full, read-only and foreign disks, and other people's directories. Real ones, so all of this needs root."""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autodist_saved.cut.cut import NoCut
from autodist_saved.errors import AutodistSavedError, PreflightError, TargetUnwritableError
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.export import Export
from autodist_saved.publish.disk.target import LocalTarget
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.target import Target
from autodist_saved.publish.versioned import VersionedTarget
from autodist_saved.testing import ArraySource
from tests.support.meta_graphs import description
from tests.support.versions import numbers, publish, write_model

pytestmark = pytest.mark.root

MIB = 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)  # bases in it are owned until the test is forgotten


def export(target: Target, nbytes: int = 64) -> str:
    one = Export("chief:0", target, ExportOptions())
    one.capture(description(), ArraySource({"table": np.zeros(nbytes // 8)}, parts=2), NoCut())
    return one.publish()


def test_a_disk_that_is_full_while_variables_are_written(disk: Path) -> None:
    target = VersionedTarget(disk)
    export(target)
    with pytest.raises(
        TargetUnwritableError, match=r"\(No space left on device\); free some space, or choose"
    ) as caught:
        export(target, 2 * MIB)
    assert caught.value.phase == "stream"
    assert numbers(disk) == [1]
    assert not list(disk.glob(".version*")), "what was staged has given its room back"
    assert export(target).endswith("/2/saved_model.pb")


def test_a_disk_that_is_full_at_the_commit(disk: Path) -> None:
    target = VersionedTarget(disk)
    export(target)
    one = Export("chief:0", target, ExportOptions())
    one.capture(description(), ArraySource({"table": np.zeros(8)}), NoCut())
    hog = disk / "hog"
    with pytest.raises(OSError, match="No space left"):
        hog.write_bytes(bytes(MIB))
    with pytest.raises(TargetUnwritableError, match="no space is left"):
        one.publish()
    assert numbers(disk) == [1]
    assert not list(disk.glob(".version*"))
    hog.unlink()
    export(target)
    assert numbers(disk) == [1, 2]


def test_a_model_is_published_though_no_link_fits_on_the_disk(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    target = VersionedTarget(disk)
    write_model(target.open().root)
    files = sum(1 for _ in disk.rglob("*")) + 1
    subprocess.run(["mount", "-o", f"remount,nr_inodes={files}", disk], check=True)
    assert target.commit() == str(disk / "1")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "latest point to the newest version: [Errno 28]" in caplog.text


def test_old_versions_make_room_after_the_commit(disk: Path) -> None:
    """With room for two models of a third of the disk, and the one that is written, it goes on for ever."""
    target = VersionedTarget(disk, retention=Retention(keep=1))
    for _ in range(8):
        export(target, MIB // 3)
    assert numbers(disk) == [8]


def test_a_disk_that_has_no_room_is_told_by_preflight(disk: Path) -> None:
    VersionedTarget(disk, retention=Retention(keep=2)).preflight(MIB // 4)
    with pytest.raises(PreflightError, match="too few for 4 more models of 262,144 bytes"):
        VersionedTarget(disk, retention=Retention(keep=3)).preflight(MIB // 4)


def test_a_full_disk_is_told_by_preflight(disk: Path) -> None:
    hog = disk / "hog"
    hog.write_bytes(bytes(MIB))
    with pytest.raises(PreflightError) as caught:
        VersionedTarget(disk / "base").preflight(1)
    assert "only 0 bytes are free, too few for 6 more models" in str(caught.value)
    assert "no space is left" in str(caught.value)


@pytest.mark.parametrize("below", ["", "base"])
def test_a_read_only_disk_is_told(disk: Path, below: str) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    message = f"{disk} is on a file system that is mounted read-only"
    with pytest.raises(TargetUnwritableError, match=message):
        VersionedTarget(disk / below).check()
    with pytest.raises(TargetUnwritableError, match=message):
        LocalTarget(disk / below / "model").check()
    with pytest.raises(PreflightError, match=message) as caught:
        VersionedTarget(disk / below).preflight(1)
    assert caught.value.problems[0].fix == "choose another export directory"


def test_a_disk_that_becomes_read_only_fails_the_export_and_not_the_next(disk: Path) -> None:
    target = VersionedTarget(disk, exclusive=False)
    export(target)
    one = Export("chief:0", target, ExportOptions())
    one.capture(description(), ArraySource({"table": np.zeros(8)}), NoCut())
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(TargetUnwritableError, match="the file system is read-only; choose another directory"):
        one.publish()
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert export(target).endswith("/2/saved_model.pb")
    assert not list(disk.glob(".version*")), "what could not be removed then is swept"


def test_another_disk_below_the_base_is_passed_over(tmp_path: Path, disk: Path) -> None:
    target = VersionedTarget(tmp_path)
    export(target)
    (tmp_path / "2").mkdir()
    subprocess.run(["mount", "--bind", disk, tmp_path / "2"], check=True)
    try:
        assert export(target).endswith("/3/saved_model.pb")
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", tmp_path / "2"], check=True)


def test_a_base_that_is_another_disk_takes_versions_and_no_model_itself(disk: Path) -> None:
    with pytest.raises(TargetUnwritableError, match="another file system is mounted at .*; export to a directory in"):
        LocalTarget(disk).check()
    assert export(LocalTarget(disk / "model")).startswith(f"{disk}/model/")
    VersionedTarget(disk).preflight(1)
    assert publish(VersionedTarget(disk)) == f"{disk}/1"


def test_a_place_that_is_mounted_from_the_same_disk_is_told(tmp_path: Path) -> None:
    """Such a mount is not to be seen beforehand."""
    for name in ("model", "volume"):
        (tmp_path / name).mkdir()
    subprocess.run(["mount", "--bind", tmp_path / "volume", tmp_path / "model"], check=True)
    try:
        with pytest.raises(AutodistSavedError, match="perhaps because a file system is mounted there; choose"):
            export(LocalTarget(tmp_path / "model"))
    finally:
        subprocess.run(["umount", tmp_path / "model"], check=True)


BECOME_NOBODY = """
import os, sys
from autodist_saved.errors import AutodistSavedError
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.versioned import VersionedTarget
from tests.support.versions import write_model
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
target = VersionedTarget(sys.argv[1], retention=Retention(keep=1))
"""

ATTEMPTS = """
for attempt in (target.check, lambda: target.preflight(1), target.open):
    try:
        attempt()
    except (AutodistSavedError, OSError) as error:
        print(f"{type(error).__name__}: {error}")
    else:
        print("fine")
"""

PUBLISH = """
write_model(target.open().root)
print(target.commit())
"""


def as_nobody(base: Path, code: str = ATTEMPTS) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BECOME_NOBODY + code, base]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody may write to, on a path that everybody may walk: pytest's is for its user alone."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        Path(place).chmod(0o777)
        yield Path(place)


def test_a_directory_of_somebody_else_is_told(public: Path) -> None:
    public.chmod(0o755)
    check, preflight, problem, fix, _ = as_nobody(public / "base").stdout.splitlines()
    said = f"this user cannot write to {public}"
    assert check.startswith(f"TargetUnwritableError: {said}; change its permissions or choose another export ")
    assert preflight == f"PreflightError: publishing to {public}/base would fail (1 problem)"
    assert problem.endswith(said)
    assert fix.strip() == "fix: change its permissions or choose another export directory"


def test_a_base_that_cannot_be_listed_is_told(public: Path) -> None:
    public.chmod(0o333)
    _, preflight, problem, _, _ = as_nobody(public).stdout.splitlines()
    assert preflight.startswith("PreflightError")
    assert problem == f"  1. {public}: permission denied"


def test_a_base_that_was_made_by_somebody_else_says_so(public: Path) -> None:
    """All may write to it, but the file with its owner is root's."""
    target = VersionedTarget(public)
    publish(target)
    target.close()
    check, preflight, problem, fix, opened = as_nobody(public).stdout.splitlines()
    assert check == "fine"
    assert preflight == f"PreflightError: publishing to {public} would fail (1 problem)"
    assert problem == f"  1. {public}/.autodist_saved-owner: permission denied"
    assert "change the permissions" in fix
    assert opened.startswith("PermissionError")


def test_old_versions_of_somebody_else_stay_with_a_warning(public: Path) -> None:
    for _ in range(2):
        publish(VersionedTarget(public, retention=Retention(keep=None)))
    (public / ".autodist_saved-owner").chmod(0o666)
    done = as_nobody(public, PUBLISH)
    assert done.stdout == f"{public}/3\n"
    assert numbers(public) == [1, 2, 3]
    assert done.stderr.count(f"versions in {public} have expired, but cannot be removed: permission denied") == 1
    assert f"{public}/1" in done.stderr
