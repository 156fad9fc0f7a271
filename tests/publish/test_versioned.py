"""Versioned targets: the next number, whoever else is at it, and what is there besides."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from autodist_saved.errors import UsageError
from autodist_saved.publish.disk import latest
from autodist_saved.publish.disk import version_base as local_base
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.versioned import VersionedTarget
from autodist_saved.testing import TargetConformance
from tests.support.versions import linked, make_version, numbers, publish, write_model


class TestVersionedTarget(TargetConformance):
    def make(self, place: Path) -> VersionedTarget:
        return VersionedTarget(place)

    def visible(self, place: Path) -> Mapping[str, bytes]:
        """What Serving sees: directories with numbers for names."""
        return {str(path.relative_to(place)): path.read_bytes() for path in place.glob("[0-9]*/*")}


def test_one_target_takes_models_one_after_the_other(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path / "models" / "flights", retention=Retention(keep=3))
    paths = [publish(target) for _ in range(12)]
    assert paths == [str(tmp_path / "models" / "flights" / str(number)) for number in range(1, 13)]
    assert numbers(tmp_path / "models" / "flights") == [10, 11, 12]
    assert linked(tmp_path / "models" / "flights") == "12"
    others = {path.name for path in (tmp_path / "models" / "flights").iterdir() if not path.name.isdigit()}
    assert others == {"latest", ".autodist_saved-owner"}


def test_by_default_the_newest_five_stay(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path)
    for _ in range(7):
        publish(target)
    assert numbers(tmp_path) == [3, 4, 5, 6, 7]


def test_the_next_version_is_above_all_that_are_there(tmp_path: Path) -> None:
    make_version(tmp_path, "0009")
    target = VersionedTarget(tmp_path, retention=Retention(keep=None))
    assert publish(target).endswith("/10")
    make_version(tmp_path, 20231122)
    assert publish(target).endswith("/20231123")
    assert (tmp_path / "0009" / "saved_model.pb").exists()


@pytest.mark.parametrize("what", ["file", "link", "dangling link", "directory", "empty directory"])
def test_what_is_in_the_way_is_passed_over_and_said_once(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "8"
    if what == "file":
        place.write_text("mine")
    elif what.endswith("link"):
        place.symlink_to(tmp_path if what == "link" else "nowhere")
    else:
        place.mkdir()
        if what == "directory":
            (place / "notes").write_text("mine")
    before = place.lstat()
    target = VersionedTarget(tmp_path)
    assert [publish(target)[-2:] for _ in range(2)] == ["/9", "10"]
    assert os.path.samestat(place.lstat(), before)
    said = f"{place} is not a model and is left alone; the next version comes after it"
    assert [record.message for record in caplog.records] == [said]


@pytest.mark.parametrize("what", ["file", "empty directory", "version"])
def test_a_number_that_is_taken_meanwhile_is_not_replaced(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, renamed = local_base.rename_without_replacing, []

    def taken(source: Path, target: Path) -> None:
        renamed.append(target.name)
        if target.name == "1":
            make_version(tmp_path, 1) if what == "version" else target.mkdir() if what != "file" else target.touch()
        rename(source, target)

    monkeypatch.setattr(local_base, "rename_without_replacing", taken)
    assert publish(VersionedTarget(tmp_path)).endswith("/2")
    assert renamed == ["1", "2"]
    assert (tmp_path / "1").exists()


def test_a_listing_that_is_old_does_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        make_version(tmp_path, number)
    target = VersionedTarget(tmp_path)
    monkeypatch.setattr(local_base, "versions_in", lambda _: [])
    assert publish(target).endswith("/4")


def test_a_base_that_is_removed_meanwhile_is_an_error(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path / "base", exclusive=False)
    root = target.open().root
    (tmp_path / "base").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        target.commit()
    target.abandon()
    assert (tmp_path / "moved" / root.name).exists()


def test_all_is_on_the_disk_before_it_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = VersionedTarget(tmp_path)
    root = target.open().root
    write_model(root)
    calls: list[str] = []
    fsync, rename = os.fsync, local_base.rename_without_replacing

    def recorded_fsync(descriptor: int) -> None:
        calls.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def recorded_rename(*paths: Path) -> None:
        calls.append("rename")
        rename(*paths)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(local_base, "rename_without_replacing", recorded_rename)
    target.commit()
    at = calls.index("rename")
    assert {"saved_model.pb", "manifest.json", "assets.extra", root.name} <= set(calls[:at])
    assert calls[at + 1] == tmp_path.name


def test_one_export_at_a_time(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path)
    target.open()
    with pytest.raises(UsageError, match="another export to .* is under way; wait for it"):
        target.open()
    target.abandon()
    publish(target)


def test_nothing_staged_is_nothing_to_commit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing is staged for .*; call open"):
        VersionedTarget(tmp_path).commit()


def test_no_file_is_touched_before_it_is_opened(tmp_path: Path) -> None:
    VersionedTarget(tmp_path / "base").check()
    VersionedTarget(tmp_path / "base").close()
    assert not list(tmp_path.iterdir())


def test_a_model_is_published_though_the_link_and_the_old_versions_are_stubborn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_version(tmp_path, 1)
    target = VersionedTarget(tmp_path, retention=Retention(keep=1))
    write_model(target.open().root)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refused)
    monkeypatch.setattr(Path, "unlink", refused)
    assert target.commit() == str(tmp_path / "2")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert numbers(tmp_path) == [1, 2]
    assert not list(tmp_path.glob(".*.autodist_saved-*"))


def test_targets_of_one_process_share_a_base(tmp_path: Path) -> None:
    first, second = VersionedTarget(tmp_path), VersionedTarget(tmp_path)
    assert [publish(target)[-1] for target in (first, second, first)] == ["1", "2", "3"]
    first.close()
    assert publish(second).endswith("/4")


def test_a_model_that_is_there_is_published_though_its_name_may_not_be_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fsync = os.fsync

    def broken(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == tmp_path:
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    target = VersionedTarget(tmp_path)
    write_model(target.open().root)
    monkeypatch.setattr(os, "fsync", broken)
    assert target.commit().endswith("/1")
    assert linked(tmp_path) == "1"
    assert "1 is published, but a power failure may remove it again" in caplog.text


def test_a_link_that_cannot_be_moved_never_dangles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    target = VersionedTarget(tmp_path, retention=Retention(keep=1))
    publish(target)

    def refused(base: Path, name: str) -> None:
        raise PermissionError(1, "Operation not permitted", os.fspath(base / "latest"))

    with monkeypatch.context() as patched:
        patched.setattr(latest, "_link", refused)
        for _ in range(2):
            publish(target)
    assert "cannot make" in caplog.text
    assert (tmp_path / "latest" / "saved_model.pb").exists()
    assert (linked(tmp_path), numbers(tmp_path)) == ("1", [1, 3])
    publish(target)
    assert (linked(tmp_path), numbers(tmp_path)) == ("4", [4])
