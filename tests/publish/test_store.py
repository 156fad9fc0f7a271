"""Models in object stores: there as a whole, or not at all, whoever else is at it and however it ends."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from botocore.exceptions import ConnectionClosedError

from autodist_saved.errors import (
    LeaseLostError,
    PreflightError,
    TargetError,
    TargetExistsError,
    TargetUnwritableError,
    UsageError,
    VerifyError,
)
from autodist_saved.paths import path_of, store_of
from autodist_saved.publish import claim, store_base, store_staging
from autodist_saved.publish.holder import Holder
from autodist_saved.publish.places import target_at
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.target import Target
from autodist_saved.publish.versioned import VersionedTarget
from autodist_saved.testing import TargetConformance
from tests.object_store import cut_after, environment, keys, models, through, uploads
from tests.publish.models import DAY_SECS, GRAPHS, publish, write_model

MODEL = ["assets.extra/autodist_saved/manifest.json", "saved_model.pb"]
PART = 2**23
"""Bytes of a part of an upload."""

PUBLISHER = """
import sys
from autodist_saved.publish.claim import Claim
from autodist_saved.publish.versioned import VersionedTarget
from tests.publish.models import write_model
from tests.publish.test_store import PART, stage
target = VersionedTarget(sys.argv[1])
for step in sys.argv[2:]:
    if step == "open":
        files = stage(target, 2 * PART)
    elif step == "keep claim":
        Claim.release = lambda claim: None
    elif step == "complete":
        target.complete()
    elif step == "commit":
        write_model(files.root)
        target.commit()
    print(step, flush=True)
sys.stdin.read()
"""


def stage(target: Target, nbytes: int) -> object:
    """A model with so many bytes of variables."""
    files = target.open("chief:0")
    upload = files.uploads.open(files.variables / "variables.data-00000-of-00001", nbytes)
    upload.write(np.zeros(nbytes, np.uint8), 0)
    upload.finish()
    return files


def publisher(base: Path, *steps: str) -> subprocess.Popen[str]:
    """Another process, once it has done these steps."""
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, str(base), *steps],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for step in steps:
        assert process.stdout.readline() == f"{step}\n"
    return process


def end(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.communicate()


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
    assert keys(bucket / "base")[0] == ".autodist_saved-lease"


def test_a_version_that_is_removed_loses_its_graphs_first_and_its_manifest_last(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = VersionedTarget(bucket / "base", retention=Retention(keep=1))
    publish(target)
    (bucket / "base" / "1" / "assets").joinpath("words.txt").write_bytes(b"words")
    removed: list[str] = []
    kind = type(bucket)
    unlink = kind.unlink

    def recorded(path: Path, *, missing_ok: bool = False) -> None:
        removed.append(path.name)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(kind, "unlink", recorded)
    publish(target)
    assert [name for name in removed if not name.startswith(".")] == ["saved_model.pb", "words.txt", "manifest.json"]


def test_what_is_no_version_of_ours_stays(bucket: Path, caplog: pytest.LogCaptureFixture) -> None:
    (bucket / "base" / "7" / "notes.txt").write_bytes(b"mine")
    target = VersionedTarget(bucket / "base", retention=Retention(keep=1))
    assert [publish(target)[-2:] for _ in range(3)] == ["/8", "/9", "10"]
    assert models(bucket / "base") == [f"10/{name}" for name in MODEL] + ["7/notes.txt"]
    assert "7 is no model and is left alone; the next version comes after it" in caplog.text


def test_nothing_of_a_model_is_seen_while_it_streams(bucket: Path) -> None:
    target = VersionedTarget(bucket / "base")
    stage(target, 2 * PART)
    assert models(bucket / "base") == []
    assert uploads(bucket) == ["base/1/variables/variables.data-00000-of-00001"]
    target.abandon()
    assert keys(bucket / "base") == [".autodist_saved-lease"]
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
    with pytest.raises(VerifyError, match=r"manifest.json does not read back") as caught:
        target.commit()
    target.abandon()
    assert caught.value.problems[0].fix == "export again"
    assert keys(bucket / "base") == [".autodist_saved-lease"]


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


@pytest.mark.parametrize(
    "steps",
    [["open"], ["open", "complete"], ["keep claim", "open", "commit"], ["open", "commit"]],
    ids=["streaming", "complete", "appeared", "committed"],
)
def test_what_a_killed_process_has_left_is_swept_by_the_next_export(bucket: Path, steps: list[str]) -> None:
    base = bucket / "base"
    process = publisher(base, *steps)
    end(process)
    whole = "commit" in steps
    assert ("1/saved_model.pb" in models(base)) is whole
    target = VersionedTarget(base)
    target.open()
    assert (models(base) != []) is whole
    assert uploads(bucket) == []
    assert [key for key in keys(base) if "claim" in key] == [f".autodist_saved-claim-{2 if whole else 1}"]
    target.abandon()


def test_what_another_machine_has_left_is_swept_after_a_day(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = bucket / "base"
    (base / ".autodist_saved-claim-1").write_bytes(Holder(1, "another", 1, "chief:0", "some time ago").line)
    (base / "1" / "variables" / "variables.data-00000-of-00001").write_bytes(b"bytes")
    target = VersionedTarget(base)
    assert publish(target).endswith("/2")
    assert "1/variables/variables.data-00000-of-00001" in models(base)
    monkeypatch.setattr(claim, "modified", lambda _: time.time() - DAY_SECS - 1)
    assert publish(target).endswith("/3")
    assert {key.split("/")[0] for key in models(base)} == {"2", "3"}


def test_a_killed_process_leaves_a_place_for_one_model_free(bucket: Path) -> None:
    target = target_at(str(bucket / "model"))
    stage(target, 10)
    target.complete()
    with pytest.raises(TargetExistsError, match="already exists"):
        target_at(str(bucket / "model")).check()
    target.abandon()
    target_at(str(bucket / "model")).check()


def test_what_a_living_process_writes_is_left_alone(bucket: Path) -> None:
    process = publisher(bucket / "base", "open", "complete")
    target = VersionedTarget(bucket / "base")
    assert publish(target).endswith("/2")
    assert "1/variables/variables.data-00000-of-00001" in models(bucket / "base")
    end(process)


def test_of_two_processes_the_one_that_comes_last_publishes_and_the_other_is_told(bucket: Path) -> None:
    target = VersionedTarget(bucket / "base")
    write_model(stage(target, 10).root)
    process = publisher(bucket / "base", "open", "commit")
    with pytest.raises(LeaseLostError, match=rf"is published to by process {process.pid} on .*; end that one first"):
        target.commit()
    target.abandon()
    end(process)
    assert {key.split("/")[0] for key in models(bucket / "base")} == {"2"}


def test_two_that_publish_at_once_get_versions_of_their_own(bucket: Path) -> None:
    targets = [VersionedTarget(bucket / "base", exclusive=False) for _ in range(4)]
    published: list[str] = []
    threads = [threading.Thread(target=lambda one=one: published.append(publish(one))) for one in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(published) == [f"{bucket}base/{number}" for number in range(1, 5)]
    assert all((path_of(place) / "saved_model.pb").read_bytes() == GRAPHS for place in published)


def test_a_claim_that_is_taken_away_is_told_at_the_commit(bucket: Path) -> None:
    target = VersionedTarget(bucket / "base")
    write_model(stage(target, 10).root)
    (bucket / "base" / ".autodist_saved-claim-1").unlink()
    with pytest.raises(LeaseLostError, match="does not name this process any more, but nobody; export again"):
        target.commit()
    target.abandon()
    assert models(bucket / "base") == []


def test_bytes_of_an_upload_come_in_order(bucket: Path) -> None:
    target = VersionedTarget(bucket / "base")
    files = target.open()
    upload = files.uploads.open(files.variables / "variables.data-00000-of-00001", 10)
    with pytest.raises(Exception, match="grows in order: byte 0 comes next, and not 5"):
        upload.write(np.zeros(5, np.uint8), 5)
    target.abandon()


def no_bucket(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return path_of("s3://there-is-none/base")


def no_credentials(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    return through("http://127.0.0.1:1", bucket / "base")


def no_server(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return through("http://127.0.0.1:2", bucket / "base")


def clock_ahead(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store_base, "modified", lambda _: 1.0)
    return bucket / "base"


@pytest.mark.parametrize(
    ("breaks", "what", "fix"),
    [
        (no_bucket, "there is no such bucket or object", "make the bucket, or correct its name"),
        (
            no_credentials,
            "there are no credentials for the object store",
            "put them where its own tools look for them",
        ),
        (no_server, "the object store cannot be reached", "look at the network and its endpoint"),
        (clock_ahead, "the clock of .* seconds apart", "set the clock of this machine"),
    ],
)
def test_a_store_that_will_not_take_the_models_is_told_at_the_start(
    bucket: Path, monkeypatch: pytest.MonkeyPatch, breaks: Callable[..., Path], what: str, fix: str
) -> None:
    target = VersionedTarget(breaks(bucket, monkeypatch))
    with pytest.raises(PreflightError, match=what) as caught:
        target.preflight(1)
    assert caught.value.problems[0].fix.startswith(fix)


def test_a_preflight_leaves_nothing_but_the_lease(bucket: Path) -> None:
    VersionedTarget(bucket / "base").preflight(1)
    assert keys(bucket / "base") == [".autodist_saved-lease"]


def test_credentials_that_are_refused_are_told(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    target = VersionedTarget(bucket / "base")
    monkeypatch.setattr(store_of(bucket), "pipe_file", refused)
    with pytest.raises(TargetUnwritableError, match=r"permission denied; .* \(Access Denied\)"):
        target.open()


def test_a_library_that_is_not_installed_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(
        UsageError, match=r"gs://bucket/base cannot be opened .*; pip install 'autodist-saved\[gcs\]'"
    ):
        VersionedTarget("gs://bucket/base")
    with pytest.raises(UsageError, match=r"nothing://bucket/base cannot be opened .*Protocol not known"):
        VersionedTarget("nothing://bucket/base")


def test_a_url_of_a_file_is_a_path(tmp_path: Path) -> None:
    assert publish(VersionedTarget(f"file://{tmp_path}/base")) == str(tmp_path / "base" / "1")


@pytest.mark.parametrize("call", ["unlink", "iterdir"])
@pytest.mark.parametrize("error", [PermissionError("Access Denied"), ConnectionClosedError(endpoint_url="http://s3")])
def test_retention_that_fails_fails_no_export(
    bucket: Path, caplog: pytest.LogCaptureFixture, error: Exception, call: str
) -> None:
    target = VersionedTarget(bucket / "base", retention=Retention(keep=1))
    publish(target)
    with pytest.MonkeyPatch.context() as patch:

        def refused(path: Path, **_: object) -> None:
            raise error

        write_model(target.open().root)
        patch.setattr(type(bucket), call, refused)
        assert target.commit().endswith("/2")
    assert "1 has expired, but cannot be removed" in caplog.text or "cannot be looked through" in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
