"""Preflight: what would fail after days of training is told on the first day, all at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from autodist_saved.errors import PreflightError, Problem, TargetError
from autodist_saved.publish.disk import preflight
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.versioned import VersionedTarget
from tests.publish.other_owner import other_owner
from tests.support.versions import make_version

MIB = 2**20


def problems(target: VersionedTarget, nbytes: int = MIB) -> tuple[Problem, ...]:
    with pytest.raises(PreflightError, match="publishing to .* would fail") as caught:
        target.preflight(nbytes)
    assert isinstance(caught.value, TargetError)
    assert caught.value.path == target.path
    return caught.value.problems


def test_a_good_base_is_made_and_nothing_else_is_left_in_it(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path / "models" / "flights")
    target.preflight(MIB)
    target.preflight(MIB)
    assert [path.name for path in (tmp_path / "models" / "flights").iterdir()] == [".autodist_saved-owner"]


def test_it_keeps_others_out_from_then_on(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path)
    target.preflight(MIB)
    with pytest.raises(AssertionError), other_owner(tmp_path):
        pass
    target.close()
    with other_owner(tmp_path) as other:
        (problem,) = problems(target)
        assert problem.what.startswith(f"another process publishes to {tmp_path}: process {other.pid} on ")
        assert problem.fix == "end that process first, or publish to another base directory"


def test_targets_that_are_not_exclusive_disturb_nobody(tmp_path: Path) -> None:
    with other_owner(tmp_path):
        VersionedTarget(tmp_path, exclusive=False).preflight(MIB)


@pytest.mark.parametrize("below", ["", "flights"])
def test_a_file_in_the_way_is_told(tmp_path: Path, below: str) -> None:
    (tmp_path / "models").write_text("mine")
    (problem,) = problems(VersionedTarget(tmp_path / "models" / below))
    assert problem.what == f"{tmp_path}/models is a file, so there can be no directory below it"
    assert problem.fix == "choose another export directory"


def test_room_is_for_the_versions_that_stay_and_one_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    free = os.statvfs_result([4096, 4096, *real[2:4], 3 * MIB // 4096, *real[5:]])
    monkeypatch.setattr(os, "statvfs", lambda _: free)

    def lack(keep: int | None) -> list[str]:
        target = VersionedTarget(tmp_path, retention=Retention(keep=keep))
        try:
            target.preflight(MIB)
        except PreflightError as error:
            return [problem.what for problem in error.problems]
        return []

    assert lack(keep=2) == []
    assert lack(keep=3) == ["only 3,145,728 bytes are free, too few for 4 more models of 1,048,576 bytes"]
    for number in range(5):
        make_version(tmp_path, number)
    assert lack(keep=7) == []
    assert lack(keep=8) == ["only 3,145,728 bytes are free, too few for 4 more models of 1,048,576 bytes"]
    assert lack(keep=1) == lack(keep=None) == []
    (problem,) = problems(VersionedTarget(tmp_path, retention=Retention(keep=None)), 4 * MIB)
    assert problem.what == "only 3,145,728 bytes are free, too few for another model of 4,194,304 bytes"


def test_a_file_system_that_tells_no_sizes_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = os.statvfs_result([4096, 4096, *[0] * 8])
    monkeypatch.setattr(os, "statvfs", lambda _: nothing)
    VersionedTarget(tmp_path).preflight(MIB)


@pytest.mark.parametrize(("ahead", "told"), [(3600, True), (30, False)])
def test_a_clock_that_was_set_back_is_told(tmp_path: Path, ahead: float, told: bool) -> None:
    make_version(tmp_path, 1)
    version = make_version(tmp_path, 2, days_old=-ahead / (24 * 3600))
    target = VersionedTarget(tmp_path)
    if not told:
        target.preflight(MIB)
        return
    (problem,) = problems(target)
    assert problem.place == str(version)
    assert "seconds in the future, so versions would be removed at the wrong time" in problem.what
    assert "set the clock" in problem.fix


def test_a_file_server_whose_clock_is_ahead_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(preflight.time, "time", lambda: now - 3600)
    (problem,) = problems(VersionedTarget(tmp_path))
    assert problem.place == str(tmp_path)


def test_a_file_system_that_cannot_rename_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link", os.fspath(source), None, os.fspath(target))

    monkeypatch.setattr(preflight, "rename_without_replacing", refused)
    (problem,) = problems(VersionedTarget(tmp_path))
    assert "this one cannot rename directories" in problem.what
    assert not list(tmp_path.iterdir())


def test_all_is_told_at_once(tmp_path: Path) -> None:
    make_version(tmp_path, 1, days_old=-1)
    with other_owner(tmp_path):
        found = problems(VersionedTarget(tmp_path), nbytes=2**60)
    assert [problem.what.split()[0] for problem in found] == ["another", "only", "its"]
    assert all(problem.fix for problem in found)
