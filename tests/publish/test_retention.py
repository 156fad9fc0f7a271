"""Retention: which versions go, in which order, and which never do."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import google_crc32c
import numpy as np
import pytest

from autodist_saved.errors import OptionsError
from autodist_saved.publish.best import BestBy
from autodist_saved.publish.checksums import file_sums
from autodist_saved.publish.disk import version_base as disk_base
from autodist_saved.publish.disk.draft import sweep
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.manifest import read_manifest, write_manifest
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.target_factory import base_at
from autodist_saved.publish.version import Version
from autodist_saved.publish.versioned import VersionedTarget
from autodist_saved.report.report import ExportReport, FileSum
from tests.support.bundles import write_bundle
from tests.support.command_line import run
from tests.support.saved_models import write_ours
from tests.support.versions import make_version, numbers


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ({}, [8, 9, 10, 11, 12]),
        ({"keep": 1}, [12]),
        ({"keep": 3}, [10, 11, 12]),
        ({"keep": 100}, list(range(1, 13))),
        ({"keep": None}, list(range(1, 13))),
        ({"keep": None, "keep_days": 1}, list(range(1, 13))),
        ({"keep": 2, "keep_every": 4}, [4, 8, 11, 12]),
        ({"keep": 1, "keep_days": 4}, [9, 10, 11, 12]),
        ({"keep": 2, "keep_days": 2, "keep_every": 5}, [5, 9, 10, 11, 12]),
    ],
)
def test_a_version_stays_as_long_as_one_rule_wants_it(tmp_path: Path, rules: dict[str, Any], left: list[int]) -> None:
    for number in range(1, 13):
        make_version(tmp_path, number, days_old=12 - number)
    removed = Retention(**rules).apply(base_at(tmp_path))
    assert numbers(tmp_path) == left
    assert [version.number for version in removed] == [number for number in range(1, 13) if number not in left]
    assert len(list(tmp_path.iterdir())) == len(left)


def test_rules_that_make_no_sense_are_refused_together() -> None:
    with pytest.raises(OptionsError) as caught:
        Retention(keep=0, keep_days=-1, keep_every=0)
    assert [problem.place for problem in caught.value.problems] == ["keep", "keep_days", "keep_every"]


JUMP = 365


@pytest.mark.parametrize(
    ("days_old", "left"),
    {
        "as it should be": ([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], list(range(4, 11))),
        "many within a day": ([6, 5.5, 5, 4.5, 4, 3, 2.5, 2, 1, 0], list(range(1, 11))),
        "ahead before the last": ([days + JUMP for days in range(9, 0, -1)] + [0], list(range(4, 11))),
        "ahead, and versions since": (
            [days + JUMP for days in range(5, 0, -1)] + [4, 3, 2, 1, 0],
            list(range(4, 11)),
        ),
        "ahead and back": ([9, 8, 7, 6, 5 - JUMP, 4 - JUMP, 3, 2, 1, 0], list(range(3, 11))),
        "ahead twice": ([9, 8, 7 - JUMP, 6, 5, 4 - JUMP, 3, 2, 1, 0], list(range(3, 11))),
        "ahead since the last": ([days + JUMP for days in range(9, -1, -1)], list(range(5, 11))),
    }.values(),
)
def test_no_version_is_old_because_a_clock_has_jumped(tmp_path: Path, days_old: list[float], left: list[int]) -> None:
    """The versions of a week stay, and one more or less where a pause is not known."""
    for number, days in enumerate(days_old, 1):
        make_version(tmp_path, number, days_old=days)
    Retention(keep=1, keep_days=7).apply(base_at(tmp_path))
    assert numbers(tmp_path) == left


@pytest.mark.parametrize("damaged", ["saved_model.pb", "assets.extra/autodist_saved/manifest.json"])
def test_the_newest_version_that_is_whole_stays(tmp_path: Path, damaged: str) -> None:
    for number in range(1, 6):
        make_version(tmp_path, number)
    for number in (4, 5):
        (tmp_path / str(number) / damaged).write_bytes(b"\0\0")
    Retention(keep=1).apply(base_at(tmp_path))
    assert numbers(tmp_path) == [3, 5]


def test_a_version_that_another_process_removes_meanwhile_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1, 6):
        make_version(tmp_path, number, days_old=12 - number)
    written = Version.written.fget

    def racing(version: Version) -> float:
        if version.number == 1:
            shutil.rmtree(version.path)
        return written(version)

    monkeypatch.setattr(Version, "written", property(racing))
    Retention(keep=2, keep_days=1).apply(base_at(tmp_path))
    assert numbers(tmp_path) == [3, 4, 5]
    assert not caplog.records


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_bytes(b"somebody's")
    elsewhere = make_version(tmp_path / "elsewhere", 1)
    (tmp_path / "3").symlink_to(elsewhere)
    (tmp_path / "4").write_text("somebody's")
    (tmp_path / "5").mkdir()
    for number in (6, 7):
        make_version(tmp_path, number)
    assert [version.number for version in Retention(keep=1).apply(base_at(tmp_path))] == [6]
    assert numbers(tmp_path) == [1, 2, 3, 4, 5, 7]
    assert (elsewhere / "saved_model.pb").exists()


def test_a_version_stops_being_a_model_before_anything_else_of_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_version(tmp_path, 1)
    make_version(tmp_path, 2)
    seen: list[list[str]] = []
    rename, rmtree = Path.rename, shutil.rmtree

    def files() -> list[str]:
        return sorted(path.name for path in tmp_path.rglob("*") if path.is_file() and path.parent != tmp_path / "2")

    def recorded_rename(path: Path, target: Path) -> Path:
        seen.append(files())
        return rename(path, target)

    def recorded_rmtree(path: Path) -> None:
        assert path.name.startswith(".1.")
        seen.append(files())
        rmtree(path)

    monkeypatch.setattr(Path, "rename", recorded_rename)
    monkeypatch.setattr(disk_base.shutil, "rmtree", recorded_rmtree)
    Retention(keep=1).apply(base_at(tmp_path))
    assert seen == [["manifest.json", "manifest.json"], ["manifest.json", "manifest.json"]]


@pytest.mark.parametrize("step", ["sync", "rmtree"])
def test_a_removal_that_a_crash_has_ended_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    for number in (1, 2):
        make_version(tmp_path, number)
    with monkeypatch.context() as patched:
        patched.setattr(*((disk_base, "sync") if step == "sync" else (disk_base.shutil, "rmtree")), killed)
        with pytest.raises(Killed):
            Retention(keep=1).apply(base_at(tmp_path))
    assert not (tmp_path / "1" / "saved_model.pb").exists()
    sweep(tmp_path)
    Retention(keep=1).apply(base_at(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["2"]


def test_what_cannot_be_removed_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2, 3):
        make_version(tmp_path, number)
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name == "1":
            raise PermissionError(1, "Operation not permitted", os.fspath(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    assert [version.number for version in Retention(keep=1).apply(base_at(tmp_path))] == [2]
    assert numbers(tmp_path) == [1, 3]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"versions in {tmp_path} have expired, but cannot be removed: permission denied" in caplog.text
    assert f"{tmp_path}/1" in caplog.text


def test_what_another_process_removes_meanwhile_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        make_version(tmp_path, number)

    def vanished(path: Path) -> None:
        shutil.rmtree(path)
        raise FileNotFoundError(2, "No such file or directory", os.fspath(path))

    monkeypatch.setattr(disk_base, "sync", vanished)
    assert [version.number for version in Retention(keep=1).apply(base_at(tmp_path))] == [1]
    assert not caplog.records


def test_a_base_that_is_gone_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Retention().apply(base_at(tmp_path / "gone")) == []
    assert "cannot be listed or read, so no old version is removed" in caplog.text


@pytest.mark.parametrize(("mode", "left"), [("max", [4, 6]), ("min", [2, 6])])
def test_the_best_version_stays_and_of_several_the_newest(
    tmp_path: Path, mode: Literal["max", "min"], left: list[int]
) -> None:
    for number, auc in enumerate([0.1, 0.1, 0.8, 0.8, None, 0.5], 1):
        version = make_version(tmp_path, number)
        if auc is not None:
            write_manifest(SavedModelFiles(version), replace(read_manifest(version), metrics={"auc": auc}))
    Retention(keep=1, keep_best=BestBy("auc", mode=mode)).apply(base_at(tmp_path))
    assert numbers(tmp_path) == left


def test_without_a_version_of_that_metric_none_is_the_best(tmp_path: Path) -> None:
    for number in range(1, 4):
        make_version(tmp_path, number)
    Retention(keep=1, keep_best=BestBy("auc")).apply(base_at(tmp_path))
    assert numbers(tmp_path) == [3]


def measured(base: Path, number: int, auc: float) -> Path:
    version = make_version(base, number)
    write_manifest(SavedModelFiles(version), replace(read_manifest(version), metrics={"auc": auc}))
    return version


def test_the_best_of_those_that_are_whole_stays(tmp_path: Path) -> None:
    for number, auc in enumerate([0.8, 0.9, 0.7, 0.1], 1):
        measured(tmp_path, number, auc)
    (tmp_path / "2" / "saved_model.pb").write_bytes(b"broken")
    Retention(keep=1, keep_best=BestBy("auc")).apply(base_at(tmp_path))
    assert numbers(tmp_path) == [1, 4]


def test_what_is_no_model_any_more_takes_no_place_of_one(tmp_path: Path) -> None:
    for number in range(1, 6):
        make_version(tmp_path, number)
    for number in (3, 4, 5):
        (tmp_path / str(number) / "saved_model.pb").unlink()
    Retention(keep=2).apply(base_at(tmp_path))
    assert numbers(tmp_path) == [1, 2]


def test_what_is_no_model_any_more_is_not_the_best_so_far(tmp_path: Path) -> None:
    measured(tmp_path, 1, 0.5)
    (measured(tmp_path, 2, 0.9) / "saved_model.pb").unlink()
    assert [report.metrics for report in VersionedTarget(tmp_path).reports()] == [{"auc": 0.5}]


def _forged(version: Path, **changes: Any) -> None:
    """Whatever the manifest says fits: it is written after the damage was done."""
    files = SavedModelFiles(version)
    files.manifest.unlink()
    write_manifest(files, ExportReport("chief:0", **{"files": file_sums(files), **changes}))


def _names_a_file_elsewhere(version: Path) -> None:
    outside = version.parent / "outside"
    outside.write_bytes(b"exists")
    shutil.rmtree(version / "variables")
    _forged(version, files={str(outside): FileSum(6, google_crc32c.value(b"exists"))})


def _has_no_variables(version: Path) -> None:
    shutil.rmtree(version / "variables")
    _forged(version)


def _has_an_index_of_others(version: Path) -> None:
    write_bundle(version / "variables" / "variables", {"others": np.zeros(2, np.float32)})
    _forged(version)


def _has_a_cut_index(version: Path) -> None:
    index = version / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:-1])
    _forged(version)


def _has_cut_data(version: Path) -> None:
    (version / "variables" / "variables.data-00000-of-00001").write_bytes(b"")
    _forged(version)


def _has_graphs_that_are_none(version: Path) -> None:
    (version / "saved_model.pb").write_bytes(b"graphs")
    _forged(version)


def _lacks_an_asset(version: Path) -> None:
    shutil.rmtree(version / "assets")
    _forged(version)


def _is_linked_out(version: Path) -> None:
    outside = version.parent / "outside"
    (version / "saved_model.pb").rename(outside)
    (version / "saved_model.pb").symlink_to(outside)


def _waits_for_a_writer(version: Path) -> None:
    (version / "saved_model.pb").unlink()
    os.mkfifo(version / "saved_model.pb")


@pytest.mark.parametrize(
    "damage",
    [
        _names_a_file_elsewhere,
        _has_no_variables,
        _has_an_index_of_others,
        _has_a_cut_index,
        _has_cut_data,
        _has_graphs_that_are_none,
        _lacks_an_asset,
        _is_linked_out,
        _waits_for_a_writer,
    ],
)
@pytest.mark.parametrize("way", ["export", "prune"])
def test_a_version_that_no_loader_could_load_is_not_believed(
    tmp_path: Path, whole: Path, damage: Callable[[Path], None], way: str
) -> None:
    for number in (1, 2, 3):
        shutil.copytree(whole, tmp_path / "base" / str(number))
    damage(tmp_path / "base" / "3")
    if way == "prune":
        assert run("prune", tmp_path / "base", "--keep", "1").status == 0
    else:
        Retention(keep=1).apply(base_at(tmp_path / "base"))
    assert 2 in numbers(tmp_path / "base")
    assert 1 not in numbers(tmp_path / "base")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ours(tmp_path_factory.mktemp("models") / "1")


def test_a_manifest_that_is_a_link_makes_no_version_ours(tmp_path: Path) -> None:
    for number in (1, 2):
        make_version(tmp_path, number)
    manifest = tmp_path / "1" / "assets.extra/autodist_saved/manifest.json"
    manifest.rename(tmp_path / "elsewhere.json")
    manifest.symlink_to(tmp_path / "elsewhere.json")
    Retention(keep=1).apply(base_at(tmp_path))
    assert numbers(tmp_path) == [1, 2]


@pytest.mark.parametrize("target", ["1", "1/", "./1", "absolute"])
def test_what_latest_points_to_stays(tmp_path: Path, target: str) -> None:
    for number in (1, 2, 3):
        make_version(tmp_path, number)
    (tmp_path / "latest").symlink_to(str(tmp_path / "1") if target == "absolute" else target)
    Retention(keep=1).apply(base_at(tmp_path))
    assert numbers(tmp_path) == [1, 3]
    assert (tmp_path / "latest" / "saved_model.pb").exists()
