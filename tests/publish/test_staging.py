"""Staging directories: whose they are, and who may remove them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autodist_saved.publish import lock, staging
from autodist_saved.publish.staging import StagingDirectory, sweep


def in_a_child(action) -> None:
    """Run it in a fork of this process, which ends as programs do that call nothing of ours at the end."""
    child = os.fork()
    if child == 0:
        action()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_a_forked_child_does_not_remove_what_its_parent_stages(tmp_path: Path) -> None:
    one = StagingDirectory(tmp_path, "model")
    in_a_child(one.remove)
    assert one.root.exists()
    one.remove()
    assert not one.root.exists()


def test_a_forked_child_that_lives_on_does_not_keep_what_its_parent_has_left(tmp_path: Path) -> None:
    one = StagingDirectory(tmp_path, "model")
    (ready, say_ready), (end, say_end) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(say_end)
        os.write(say_ready, b"x")
        os.read(end, 1)
        os._exit(0)
    try:
        os.read(ready, 1)
        one._lock.close()  # as the kernel does when the parent is killed
        sweep(tmp_path)
        assert not list(tmp_path.iterdir())
    finally:
        os.close(say_end)
        os.waitpid(child, 0)
        for descriptor in (ready, say_ready, end):
            os.close(descriptor)
        one.remove()


def test_one_that_is_swept_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, swept = lock.Lock, []

    def swept_first(path: Path, flags: int) -> lock.Lock:
        if not swept:
            swept.append(path)
            path.rmdir()
        return real(path, flags)

    monkeypatch.setattr(staging, "Lock", swept_first)
    one = StagingDirectory(tmp_path, "model")
    assert one.root != swept[0]
    assert one.root.is_dir()
    one.remove()


def test_where_there_are_no_locks_all_works_and_nothing_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(lock.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    one, other = StagingDirectory(tmp_path, "model"), StagingDirectory(tmp_path, "model")
    sweep(tmp_path)
    assert one.root.is_dir()
    one.appear_at(tmp_path / "model", os.rename)
    other.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
