"""Exports that one thread gives up while another publishes them: a whole model, or none."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from autodist_saved.errors import ExportError
from autodist_saved.publish.disk import draft as local_staging
from autodist_saved.publish.disk import version_base as local_base
from autodist_saved.publish.disk.draft import DraftDirectory
from autodist_saved.publish.store import draft as store_staging
from autodist_saved.publish.target import Target
from autodist_saved.publish.target_factory import target_at
from autodist_saved.publish.versioned import VersionedTarget
from tests.publish.staged import stage
from tests.support.object_store import keys, models, uploads
from tests.support.versions import numbers, publish, write_model


class Pause:
    """A moment in a commit at which another thread comes in between."""

    def __init__(self) -> None:
        self._reached, self._over = threading.Event(), threading.Event()

    def wait(self) -> None:
        self._reached.set()
        assert self._over.wait(60)

    def give_up_in_it(self, target: Target, then: Callable[[], None]) -> Exception | None:
        """Commit in a thread and abandon it in the pause. Returns what the commit raises."""
        raised: list[Exception] = []

        def commit() -> None:
            try:
                target.commit()
            except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
                raised.append(error)

        thread = threading.Thread(target=commit)
        thread.start()
        assert self._reached.wait(60)
        target.abandon()
        then()
        self._over.set()
        thread.join()
        return raised[0] if raised else None


@pytest.mark.parametrize("is_versioned", [True, False])
@pytest.mark.parametrize("name", ["manifest.json", "saved_model.pb"])
def test_nothing_stays_in_a_store_of_what_is_given_up_while_it_is_uploaded(
    bucket: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_versioned: bool
) -> None:
    target = VersionedTarget(bucket / "base") if is_versioned else target_at(str(bucket / "base" / "1"))
    write_model(stage(target, 10).root)
    pause, complete = Pause(), store_staging.Upload.complete

    def paused(upload: store_staging.Upload) -> None:
        if upload.path.name == name:
            pause.wait()
        complete(upload)

    monkeypatch.setattr(store_staging.Upload, "complete", paused)
    error = pause.give_up_in_it(target, lambda: None)
    assert isinstance(error, ExportError)
    assert "another thread has abandoned the export while it was published" in str(error)
    assert [key for key in keys(bucket / "base") if "owner" not in key] == []
    assert uploads(bucket) == []
    monkeypatch.undo()


def test_a_model_in_a_store_that_was_whole_before_it_was_given_up_stays(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = VersionedTarget(bucket / "base")
    write_model(stage(target, 10).root)
    pause, let_go = Pause(), store_staging.StoreDraft._release_claim

    def paused(staging: store_staging.StoreDraft) -> None:
        pause.wait()
        let_go(staging)

    monkeypatch.setattr(store_staging.StoreDraft, "_release_claim", paused)
    before: list[str] = []
    assert pause.give_up_in_it(target, lambda: before.extend(models(bucket / "base"))) is None
    assert len(before) == 3
    assert models(bucket / "base") == before


def test_nothing_vanishes_beneath_a_commit_to_a_disk_that_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = VersionedTarget(tmp_path)
    root = target.open().root
    write_model(root)
    pause, next_number = Pause(), local_base.LocalVersionBase._next_number

    def paused(base: local_base.LocalVersionBase) -> int:
        pause.wait()
        return next_number(base)

    monkeypatch.setattr(local_base.LocalVersionBase, "_next_number", paused)
    there: list[bool] = []
    error = pause.give_up_in_it(target, lambda: there.append((root / "saved_model.pb").exists()))
    assert isinstance(error, ExportError)
    assert there == [True]
    assert numbers(tmp_path) == []
    assert not root.exists()
    monkeypatch.undo()
    assert publish(target).endswith("/1")


def test_a_directory_that_is_being_removed_gets_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = DraftDirectory(tmp_path, "version")
    write_model(staging.root)
    rmtree, refused = shutil.rmtree, []

    def named_meanwhile(path: Path, **options: bool) -> None:
        try:
            staging.root.rename(tmp_path / "1")
        except FileNotFoundError as error:
            refused.append(error)
        rmtree(path, **options)

    monkeypatch.setattr(local_staging.shutil, "rmtree", named_meanwhile)
    staging.remove()
    assert refused
    assert list(tmp_path.iterdir()) == []
