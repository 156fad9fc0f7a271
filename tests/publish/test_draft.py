"""Staging directories: whose they are, and who may remove them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autodist_saved.publish import lock
from autodist_saved.publish.disk import draft
from autodist_saved.publish.disk.draft import DraftDirectory, sweep
from autodist_saved.system.paths import hidden_name

FORK = """
import os, signal, sys
from pathlib import Path
from autodist_saved.publish.disk.draft import DraftDirectory
staging = DraftDirectory(Path(sys.argv[1]), "model")
if os.fork() == 0:
    exec(sys.argv[2])
    print("done", flush=True)
    sys.stdin.read()
else:
    signal.pause()
"""


@pytest.mark.parametrize("child", ["staging.remove()", "pass"])
def test_a_forked_child_neither_removes_nor_keeps_what_its_parent_stages(tmp_path: Path, child: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", FORK, tmp_path, child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "done\n"
        sweep(tmp_path)
        assert len(list(tmp_path.iterdir())) == 1
        parent.kill()
        parent.wait()
        sweep(tmp_path)
        assert not list(tmp_path.iterdir())
    finally:
        parent.kill()
        parent.communicate()


@pytest.mark.parametrize("is_open", [False, True])
def test_one_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_open: bool
) -> None:
    real, swept = lock.Lock, []

    def sweep_once(path: Path, now: bool) -> None:
        if now and not swept:
            swept.append(path)
            path.rmdir()

    def opened(path: Path, flags: int) -> lock.Lock:
        sweep_once(path, not is_open)
        one = real(path, flags)
        sweep_once(path, is_open)
        return one

    monkeypatch.setattr(draft, "Lock", opened)
    one = DraftDirectory(tmp_path, "model")
    assert one.root != swept[0]
    assert one.root.is_dir()
    one.remove()


def test_where_there_are_no_locks_all_works_and_nothing_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(lock.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    one, other = DraftDirectory(tmp_path, "model"), DraftDirectory(tmp_path, "model")
    sweep(tmp_path)
    assert one.root.is_dir()
    one.appear_at(tmp_path / "model", os.rename)
    other.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    "name", [".mine.autodist_saved-backup", f".mine.autodist_saved-{'0' * 33}", f"mine.autodist_saved-{'0' * 32}"]
)
def test_what_has_a_name_much_like_ours_is_not_swept(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (ours := hidden_name(tmp_path, "a\nmodel")).mkdir()
    sweep(tmp_path)
    assert (tmp_path / name).exists()
    assert not ours.exists()
