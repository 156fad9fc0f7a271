"""What cannot be looked at is not said to be damaged: the same status from every command."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autodist_saved.system.paths import path_of, store_of
from tests.support.command_line import run
from tests.support.object_store import models
from tests.support.saved_models import write_ours

COMMANDS = {
    "inspect": "inspect PLACE",
    "verify": "verify PLACE",
    "verify a copy": "verify GOOD --against PLACE",
    "diff": "diff PLACE GOOD",
    "diff to it": "diff GOOD PLACE",
    "report": "report PLACE -o PAGE",
    "prune": "prune BASE --keep 1",
}
OF_FILES = [name for name in COMMANDS if name != "prune"]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_ours(tmp_path / "1")


@pytest.fixture
def base(bucket: Path, good: Path) -> Path:
    for number in (1, 2):
        store_of(bucket).put(f"{good}/", f"{bucket}base/{number}/", recursive=True)
    return bucket / "base"


def check(command: str, place: Path, good: Path, said: str) -> None:
    places = {"PLACE": place, "BASE": place.parent, "GOOD": good, "PAGE": good.parent / "page.html"}
    words = [places.get(word, word) for word in COMMANDS[command].split()]
    done = run(*words)
    assert done.status == 3, done
    assert said in done.stderr
    told = run(*words, "--json")
    assert told.status == 3
    assert told.told["error"] in {"UnreadableError", "TargetError", "TargetUnwritableError"}


@pytest.mark.usefixtures("no_s3")
def test_a_store_that_is_down(base: Path, good: Path) -> None:
    for command in COMMANDS:
        check(command, base / "1", good, "the object store cannot be reached")


def test_a_store_that_lets_nobody_in(base: Path, good: Path, allow: Callable[..., None]) -> None:
    allow("sts:*")
    for command in COMMANDS:
        check(command, base / "1", good, "permission denied")
    assert [run(command, base.parent).status for command in ("inspect", "prune")] == [3, 3], "of the bucket itself"


@pytest.mark.parametrize("command", OF_FILES)
@pytest.mark.parametrize("name", ["saved_model.pb", "variables.index", "manifest.json"])
def test_a_file_that_may_not_be_read(
    tmp_path: Path, good: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    place = write_ours(tmp_path / "2")
    hidden = next(place.rglob("manifest.json" if command == "verify a copy" else name)).stat()
    _open = os.open

    def refused(path: str, *how: Any, **more: Any) -> int:
        descriptor = _open(path, *how, **more)
        if os.path.samestat(os.fstat(descriptor), hidden):
            os.close(descriptor)
            raise PermissionError(13, "Permission denied", path)
        return descriptor

    monkeypatch.setattr(os, "open", refused)
    check(command, place, good, "it cannot be read (Permission denied); check its permissions")


def test_a_version_whose_graphs_cannot_be_looked_at_is_not_removed_for_it(
    base: Path, allow: Callable[..., None]
) -> None:
    allow("s3:*", hidden="arn:aws:s3:::*/base/2/saved_model.pb")
    done = run("prune", base, "--keep", 1)
    assert done.status == 3, done
    assert {key.split("/")[0] for key in models(path_of(str(base)))} == {"1", "2"}
