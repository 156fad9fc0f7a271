"""Who else is at a place in an object store: living processes, ended ones, other machines."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from moto.s3.responses import S3Response

from autodist_saved.errors import OwnershipLostError, TargetError, TargetExistsError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.manifest import write_manifest
from autodist_saved.publish.owner import Owner
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.store import claim
from autodist_saved.publish.store.uploads import abort_uploads
from autodist_saved.publish.target_factory import target_at
from autodist_saved.publish.versioned import VersionedTarget
from autodist_saved.report.report import ExportReport
from autodist_saved.system.paths import modified, path_of, store_of
from tests.publish.staged import end, publisher, stage
from tests.support.object_store import keys, models, uploads
from tests.support.versions import DAY_SECS, GRAPHS, publish, write_model


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
    (base / ".autodist_saved-claim-1").write_bytes(Owner(1, "another", 1, "chief:0", "some time ago").line)
    (base / "1" / "variables" / "variables.data-00000-of-00001").write_bytes(b"bytes")
    target = VersionedTarget(base)
    assert publish(target).endswith("/2")
    assert "1/variables/variables.data-00000-of-00001" in models(base)
    monkeypatch.setattr(claim, "modified", lambda _: time.time() - DAY_SECS - 1)
    assert publish(target).endswith("/3")
    assert {key.split("/")[0] for key in models(base)} == {"2", "3"}


def test_uploads_on_every_page_of_a_listing_are_swept(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator has one page for all; a store has a thousand uploads on each."""
    store, name = store_of(bucket), bucket.drive
    serialized = S3Response.serialized

    def of_one_page(response: Any, answer: Any) -> Any:
        if response.data.get("Action") == "ListMultipartUploads":
            every = sorted(answer.result["Uploads"], key=lambda upload: (upload["Key"], upload["UploadId"]))
            asked = {name: values[0] for name, values in response.querystring.items()}
            after = asked.get("key-marker", ""), asked.get("upload-id-marker", "")
            left = [upload for upload in every if (upload["Key"], upload["UploadId"]) > after]
            answer.result.update(Uploads=left[:1], IsTruncated=len(left) > 1)
            if len(left) > 1:
                answer.result.update(NextKeyMarker=left[0]["Key"], NextUploadIdMarker=left[0]["UploadId"])
        return serialized(response, answer)

    monkeypatch.setattr(S3Response, "serialized", of_one_page)
    for key in ("base/1/a", "base/1/a", "base/1/b", "base/10/a", "other/1/a"):
        store.call_s3("create_multipart_upload", Bucket=name, Key=key)
    abort_uploads(bucket / "base" / "1")
    monkeypatch.setattr(S3Response, "serialized", serialized)
    assert uploads(path_of(f"s3://{name}")) == ["base/10/a", "other/1/a"]


def test_what_another_process_is_writing_has_not_expired(bucket: Path) -> None:
    base = bucket / "base"
    write_manifest(SavedModelFiles(base / "1"), ExportReport("chief:0"))
    (base / ".autodist_saved-claim-1").write_bytes(Owner(1, "another", 1, "chief:0", "just now").line)
    for _ in range(2):
        publish(VersionedTarget(base, retention=Retention(keep=1), exclusive=False))
    assert {key.split("/")[0] for key in models(base)} == {"1", "3"}


def test_a_killed_process_leaves_a_place_for_one_model_free(bucket: Path) -> None:
    place = bucket / "model"
    process = publisher(place, "one", "open", "complete")
    with pytest.raises(TargetExistsError, match="already exists"):
        target_at(place).check()
    end(process)
    assert models(place) == ["variables/variables.data-00000-of-00001"]
    target = target_at(place)
    target.check()
    files = target.open()
    assert keys(bucket) == []
    write_model(files.root)
    target.commit()
    assert models(bucket) == [
        f"model/{name}" for name in ("assets.extra/autodist_saved/manifest.json", "saved_model.pb")
    ]


def test_a_model_under_way_keeps_its_place(bucket: Path) -> None:
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


def test_what_a_living_process_writes_is_left_alone_where_the_store_tells_no_dates(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def untold(*_: object) -> None:
        raise NotImplementedError

    process = publisher(bucket / "base", "open", "complete")
    monkeypatch.setattr(store_of(bucket), "modified", untold)
    assert modified(bucket / "base" / ".autodist_saved-claim-1") is None
    assert publish(VersionedTarget(bucket / "base")).endswith("/2")
    assert "1/variables/variables.data-00000-of-00001" in models(bucket / "base")
    end(process)


def test_a_claim_whose_answer_is_lost_is_swept_by_the_next_export(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, base = store_of(bucket), bucket / "base"
    pipe_file = store.pipe_file

    def unheard(*arguments: object, **options: object) -> None:
        pipe_file(*arguments, **options)
        raise ConnectionClosedError(endpoint_url="http://s3")

    target = VersionedTarget(base, exclusive=False)
    with monkeypatch.context() as patched:
        patched.setattr(store, "pipe_file", unheard)
        with pytest.raises(TargetError, match="the object store cannot be reached"):
            target.open()
    assert keys(base) == [".autodist_saved-claim-1"]
    assert publish(target).endswith("/1")
    assert keys(base) == models(base)


def test_of_two_processes_the_one_that_comes_last_publishes_and_the_other_is_told(bucket: Path) -> None:
    target = VersionedTarget(bucket / "base")
    write_model(stage(target, 10).root)
    process = publisher(bucket / "base", "open", "commit")
    with pytest.raises(
        OwnershipLostError, match=rf"publishes to .*: process {process.pid} on .*; end that process first"
    ):
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
    with pytest.raises(OwnershipLostError, match="no longer names this process, but nobody; export again"):
        target.commit()
    target.abandon()
    assert models(bucket / "base") == []


@pytest.mark.parametrize("step", ["complete", "commit"])
def test_who_has_lost_its_place_neither_overwrites_nor_removes_the_model_of_the_other(
    bucket: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    base = bucket / "base"
    slow = VersionedTarget(base, exclusive=False)
    write_model(stage(slow, 10).root)
    monkeypatch.setattr(claim, "_DAY_SECS", -DAY_SECS)
    swift = VersionedTarget(base, exclusive=False)
    write_model(stage(swift, 20).root, b"\x08\x01\x12\x05other")
    assert swift.commit().endswith("/1")
    theirs = {name: (base / name).read_bytes() for name in models(base)}
    with pytest.raises(OwnershipLostError, match="no longer names this process"):
        getattr(slow, step)()
    slow.abandon()
    assert {name: (base / name).read_bytes() for name in models(base)} == theirs


def test_who_has_lost_its_place_leaves_the_claim_of_the_other(bucket: Path) -> None:
    place = bucket / "base" / "1"
    lost = claim.Claim(place, "chief:0")
    claim.claim_of(place).write_bytes(other := Owner(1, "another", 1, "chief:0", "now").line)
    with pytest.raises(OwnershipLostError):
        lost.release()
    assert claim.claim_of(place).read_bytes() == other


@pytest.mark.parametrize("pids", ["", "another boot pid:[4026531836]"])
def test_a_process_of_another_container_may_live(pids: str) -> None:
    ended = replace(Owner.after(None, "chief:0"), pid=2**22 + 1)
    assert not ended.may_live
    assert replace(ended, pids=pids).may_live


@pytest.mark.parametrize("generation", [b'"x"', b"null", b"{}"])
def test_a_damaged_owner_or_claim_in_a_store_keeps_nobody_out(bucket: Path, generation: bytes) -> None:
    damaged = b'{"generation": %s, "host": "another", "pid": 1, "task": "", "since": ""}' % generation
    for name in (".autodist_saved-owner", ".autodist_saved-claim-1"):
        (bucket / "base" / name).write_bytes(damaged)
    target = VersionedTarget(bucket / "base")
    target.preflight(1)
    assert publish(target).endswith("/2")
