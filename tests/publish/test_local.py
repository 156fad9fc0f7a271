"""Local targets: one rename, nothing overwritten, and the leftovers of a crash."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from autodist_saved.errors import TargetExistsError, TargetUnwritableError
from autodist_saved.publish.disk import target as local
from autodist_saved.publish.disk.target import LocalTarget
from autodist_saved.publish.target import Target
from autodist_saved.testing import FolderTarget, TargetConformance


class TestLocalTarget(TargetConformance):
    def make(self, place: Path) -> Target:
        return LocalTarget(place)

    def visible(self, place: Path) -> Mapping[str, bytes]:
        return {path.name: path.read_bytes() for path in place.iterdir()} if place.exists() else {}


class TestFolderTarget(TestLocalTarget):
    def make(self, place: Path) -> Target:
        return FolderTarget(place)


def test_a_second_model_at_one_place_is_refused(tmp_path: Path) -> None:
    first, second = LocalTarget(tmp_path / "model"), LocalTarget(tmp_path / "model")
    for target in (first, second):
        target.open().saved_model.write_bytes(b"x")
    first.commit()
    with pytest.raises(TargetExistsError, match="appeared during the export"):
        second.commit()
    second.abandon()
    with pytest.raises(TargetExistsError, match="already exists, and isn't empty"):
        LocalTarget(tmp_path / "model").check()


def test_the_staging_name_is_hidden_and_no_version(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "12")
    root = target.open().root
    assert root.parent == tmp_path
    assert root.name.startswith(".")
    assert not root.name.isdigit()
    target.abandon()


def test_an_empty_directory_is_a_good_target(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    target = LocalTarget(tmp_path / "model")
    target.check()
    target.open().saved_model.write_bytes(b"x")
    target.commit()
    assert (tmp_path / "model" / "saved_model.pb").read_bytes() == b"x"


def test_parents_are_made(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "a" / "b" / "model")
    target.check()
    assert not (tmp_path / "a").exists(), "check() leaves nothing"
    target.open().saved_model.write_bytes(b"x")
    target.commit()
    assert (tmp_path / "a" / "b" / "model" / "saved_model.pb").exists()


@pytest.mark.parametrize("what", ["file", "link", "dangling link"])
def test_whatever_is_there_is_left_alone(tmp_path: Path, what: str) -> None:
    place = tmp_path / "model"
    if what == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path if what == "link" else tmp_path / "nowhere")
    with pytest.raises(TargetExistsError, match="is not a directory; choose another"):
        LocalTarget(place).check()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(TargetUnwritableError, match="a is a file, so there can be no directory below it"):
        LocalTarget(tmp_path / "a" / "b" / "model").check()


def test_a_directory_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write anywhere, so the answer of the operating system is the one thing that is made up here.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(TargetUnwritableError, match="this user cannot write to .*; change its permissions"):
        LocalTarget(tmp_path / "model").check()


def test_a_place_where_a_file_system_is_mounted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "model")
    with pytest.raises(TargetUnwritableError, match="is mounted at .*; export to a directory in it"):
        LocalTarget(tmp_path / "model").check()


def test_something_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "model")
    target.open()
    (tmp_path / "model").write_text("mine")
    with pytest.raises(TargetExistsError, match="appeared during"):
        target.commit()
    assert (tmp_path / "model").read_text() == "mine"
    target.abandon()


def test_a_file_system_without_that_kind_of_rename_still_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Libc:
        @staticmethod
        def renameat2(*_: object) -> int:
            ctypes.set_errno(errno.EINVAL)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc)
    target = LocalTarget(tmp_path / "model")
    target.open().saved_model.write_bytes(b"x")
    target.commit()
    assert (tmp_path / "model" / "saved_model.pb").exists()


def test_all_is_on_the_disk_before_it_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = LocalTarget(tmp_path / "model")
    files = target.open()
    files.variables.mkdir()
    (files.variables / "data").write_bytes(b"x")
    files.saved_model.write_bytes(b"x")
    calls: list[str] = []
    fsync, rename = os.fsync, local.rename_without_replacing

    def recorded_fsync(descriptor: int) -> None:
        calls.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def recorded_rename(*paths: Path) -> None:
        calls.append("rename")
        rename(*paths)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(local, "rename_without_replacing", recorded_rename)
    target.commit()
    at = calls.index("rename")
    assert {"data", "variables", "saved_model.pb", files.root.name} <= set(calls[:at])
    assert calls[at + 1 :] == [tmp_path.name]


def test_a_file_that_does_not_reach_the_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = LocalTarget(tmp_path / "model")
    graphs = target.open().saved_model
    graphs.write_bytes(b"x")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        target.commit()
    assert caught.value.filename == str(graphs)
    target.abandon()


STAGE_AND_WAIT = """
import sys
from autodist_saved.publish.disk.target import LocalTarget
target = LocalTarget(sys.argv[1])
target.open().saved_model.write_bytes(b"half")
print("staged", flush=True)
sys.stdin.read()
"""


def staging_process(place: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", STAGE_AND_WAIT, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "staged\n"
    return process


def test_leftovers_of_a_killed_export_are_swept_and_a_living_ones_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dead, alive = (staging_process(tmp_path / name) for name in ("model", "another"))
    odd = [tmp_path / f".{name}.autodist_saved-x" for name in ("file", "link")]
    odd[0].touch()
    odd[1].symlink_to(tmp_path)
    try:
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        target = LocalTarget(tmp_path / "third")
        target.open()
        target.abandon()
        left = [path for path in tmp_path.iterdir() if path not in odd]
        assert [path.name.startswith(".another.") for path in left] == [True]
        assert all(path.is_symlink() or path.exists() for path in odd)
        assert "which an unfinished export has left" in caplog.text
    finally:
        for process in (dead, alive):
            process.kill()
            process.communicate()


def test_a_program_that_never_commits_leaves_nothing_when_it_ends(tmp_path: Path) -> None:
    process = staging_process(tmp_path / "model")
    process.communicate("")
    assert process.returncode == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["gs://bucket/model", "file:///models/1", "a\0b"])
def test_what_is_no_path_on_a_file_system_is_refused(path: str) -> None:
    with pytest.raises(TargetUnwritableError, match="is not a path of a file system; export to a directory"):
        LocalTarget(path)


@pytest.mark.parametrize(
    "name", ["m" * 255, "漢" * 85, "m\udce9", "a b*?[", "ü/1"], ids=["long", "wide", "no unicode", "glob", "nested"]
)
def test_odd_names_are_good_names(tmp_path: Path, name: str) -> None:
    target = LocalTarget(os.fsencode(tmp_path / name))
    target.check()
    target.open().saved_model.write_bytes(b"x")
    target.commit()
    assert (tmp_path / name / "saved_model.pb").exists()
