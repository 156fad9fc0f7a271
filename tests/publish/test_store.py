"""Models in object stores: there as a whole, or not at all."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from botocore.exceptions import ConnectionClosedError

from autodist_saved.errors import (
    TargetError,
    VerifyError,
)
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.store import draft as store_staging
from autodist_saved.publish.target import Target
from autodist_saved.publish.target_factory import target_at
from autodist_saved.publish.versioned import VersionedTarget
from autodist_saved.system.paths import path_of, store_of
from autodist_saved.testing import TargetConformance
from tests.publish.staged import PART, stage
from tests.support.object_store import cut_after, keys, models, through, uploads
from tests.support.versions import publish, write_model

MODEL = ["assets.extra/autodist_saved/manifest.json", "saved_model.pb"]


class Conformance(TargetConformance):
    """Places are told apart by the names that pytest gives to directories."""

    def place(self, path: Path) -> Path:
        raise NotImplementedError

    def visible(self, place: Path) -> Mapping[str, bytes]:
        base = self.place(place)
        return {key: (base / key).read_bytes() for key in models(base) if key.endswith(".pb")}


class InS3(Conformance):
    @pytest.fixture(autouse=True)
    def _bucket(self, bucket: Path) -> None:
        self.bucket = bucket

    def place(self, path: Path) -> Path:
        return self.bucket / path.name


class InMemory(Conformance):
    def place(self, path: Path) -> Path:
        return path_of(f"memory://{path}")


class TestVersionsInS3(InS3):
    def make(self, place: Path) -> Target:
        return VersionedTarget(str(self.place(place)))


class TestOneModelInS3(InS3):
    def make(self, place: Path) -> Target:
        return target_at(str(self.place(place)))


class TestVersionsInMemory(InMemory):
    def make(self, place: Path) -> Target:
        return VersionedTarget(str(self.place(place)))


class TestOneModelInMemory(InMemory):
    def make(self, place: Path) -> Target:
        return target_at(str(self.place(place)))


def test_the_newest_versions_stay(bucket: Path) -> None:
    target = VersionedTarget(bucket / "base", retention=Retention(keep=2))
    paths = [publish(target) for _ in range(4)]
    assert paths == [f"{bucket}base/{number}" for number in range(1, 5)]
    assert models(bucket / "base") == [f"{number}/{name}" for number in (3, 4) for name in MODEL]
    assert keys(bucket / "base")[0] == ".autodist_saved-owner"


def test_a_version_that_is_removed_loses_its_graphs_first_and_its_manifest_last(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = VersionedTarget(bucket / "base", retention=Retention(keep=1))
    publish(target)
    (bucket / "base" / "1" / "assets").joinpath("words.txt").write_bytes(b"words")
    removed: list[str] = []
    store = store_of(bucket)
    remove = store.rm_file

    def recorded(path: str) -> None:
        removed.append(path.rpartition("/")[2])
        remove(path)

    monkeypatch.setattr(store, "rm_file", recorded)
    publish(target)
    assert [name for name in removed if not name.startswith(".")] == ["saved_model.pb", "words.txt", "manifest.json"]


def test_a_base_without_objects_has_no_versions(bucket: Path) -> None:
    assert VersionedTarget(bucket / "new", exclusive=False).reports() == []


def test_what_is_no_version_of_ours_stays(bucket: Path, caplog: pytest.LogCaptureFixture) -> None:
    (bucket / "base" / "7" / "notes.txt").write_bytes(b"mine")
    target = VersionedTarget(bucket / "base", retention=Retention(keep=1))
    assert [publish(target)[-2:] for _ in range(3)] == ["/8", "/9", "10"]
    assert models(bucket / "base") == [f"10/{name}" for name in MODEL] + ["7/notes.txt"]
    assert "7 is not a model and is left alone; the next version comes after it" in caplog.text


def test_nothing_of_a_model_is_seen_while_it_streams(bucket: Path) -> None:
    target = VersionedTarget(bucket / "base")
    stage(target, 2 * PART)
    assert models(bucket / "base") == []
    assert uploads(bucket) == ["base/1/variables/variables.data-00000-of-00001"]
    target.abandon()
    assert keys(bucket / "base") == [".autodist_saved-owner"]
    assert uploads(bucket) == []


def test_a_store_that_shows_what_it_has_of_an_upload_sees_nothing_before_the_commit(tmp_path: Path) -> None:
    base = path_of(f"memory://{tmp_path}")
    target = VersionedTarget(base)
    files = target.open()
    assert files.uploads is None
    files.variables.mkdir()
    (files.variables / "variables.data-00000-of-00001").write_bytes(b"bytes")
    write_model(files.root)
    target.complete()
    assert models(base) == []
    target.commit()
    assert models(base) == [f"1/{name}" for name in (*MODEL, "variables/variables.data-00000-of-00001")]


def test_an_upload_whose_answer_is_lost_is_complete(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = VersionedTarget(bucket / "base")
    files = stage(target, 10)
    (upload,) = files.uploads._all
    commit = upload._file.commit

    def unheard() -> None:
        commit()
        raise ConnectionClosedError(endpoint_url="http://s3")

    monkeypatch.setattr(upload._file, "commit", unheard)
    target.complete()
    write_model(files.root)
    assert target.commit().endswith("/1")


def test_the_graphs_come_last(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = VersionedTarget(bucket / "base")
    write_model(stage(target, 10).root)
    seen: list[list[str]] = []
    copy = store_staging.Upload.complete

    def recorded(upload: store_staging.Upload) -> None:
        seen.append(models(bucket / "base"))
        copy(upload)

    monkeypatch.setattr(store_staging.Upload, "complete", recorded)
    target.commit()
    assert seen[-1] == [f"1/{MODEL[0]}", "1/variables/variables.data-00000-of-00001"]
    assert models(bucket / "base") == [f"1/{MODEL[0]}", f"1/{MODEL[1]}", "1/variables/variables.data-00000-of-00001"]


def test_a_file_that_does_not_read_back_is_removed_with_all_the_rest(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = VersionedTarget(bucket / "base")
    write_model(stage(target, 10).root)
    write = store_staging.Upload.write

    def flipped(upload: store_staging.Upload, data: np.ndarray, offset: int) -> None:
        write(upload, data ^ 1, offset)

    monkeypatch.setattr(store_staging.Upload, "write", flipped)
    with pytest.raises(VerifyError, match=r"manifest.json differs from the exported file") as caught:
        target.commit()
    target.abandon()
    assert caught.value.problems[0].fix == "export again"
    assert keys(bucket / "base") == [".autodist_saved-owner"]


def test_an_upload_that_breaks_leaves_nothing_to_be_seen_and_the_next_export_publishes(
    bucket: Path, s3_endpoint: str
) -> None:
    with cut_after(PART + PART // 2, s3_endpoint) as endpoint:
        target = VersionedTarget(through(endpoint, bucket / "base"))
        with pytest.raises(
            TargetError, match="variables.data-00000-of-00001|the object store cannot be reached"
        ) as caught:
            stage(target, 3 * PART)
        target.abandon()
    assert caught.value.path == f"{bucket}base/1/variables/variables.data-00000-of-00001"
    assert models(bucket / "base") == []
    assert uploads(bucket) != []
    target = VersionedTarget(bucket / "base")
    write_model(stage(target, PART).root)
    assert target.commit().endswith("/1")
    assert uploads(bucket) == []


def test_bytes_of_an_upload_come_in_order(bucket: Path) -> None:
    target = VersionedTarget(bucket / "base")
    files = target.open()
    upload = files.uploads.open(files.variables / "variables.data-00000-of-00001", 10)
    with pytest.raises(Exception, match="must be written in order: byte 0 comes next, and not byte 5"):
        upload.write(np.zeros(5, np.uint8), 5)
    target.abandon()


@pytest.mark.parametrize("call", ["rm_file", "iterdir"])
@pytest.mark.parametrize("error", [PermissionError("Access Denied"), ConnectionClosedError(endpoint_url="http://s3")])
def test_retention_that_fails_fails_no_export(
    bucket: Path, caplog: pytest.LogCaptureFixture, error: Exception, call: str
) -> None:
    target = VersionedTarget(bucket / "base", retention=Retention(keep=1))
    publish(target)
    with pytest.MonkeyPatch.context() as patch:

        def refused(*_: object, **__: object) -> None:
            raise error

        write_model(target.open().root)
        patch.setattr(store_of(bucket) if call == "rm_file" else type(bucket), call, refused)
        assert target.commit().endswith("/2")
    assert "have expired, but cannot be removed" in caplog.text or "cannot be listed or read" in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
