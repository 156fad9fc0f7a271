"""What keeps models out of an object store is told at the start, with what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from autodist_saved.errors import (
    PreflightError,
    TargetUnwritableError,
    UsageError,
)
from autodist_saved.publish.store import version_base as store_base
from autodist_saved.publish.versioned import VersionedTarget
from autodist_saved.system.paths import path_of, store_of
from tests.support.object_store import keys, through
from tests.support.versions import publish


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
        (no_server, "the object store cannot be reached", "check the network and the store's endpoint"),
        (clock_ahead, "the clocks of .* seconds", "set the clock of this machine"),
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
    assert keys(bucket / "base") == [".autodist_saved-owner"]


def test_credentials_that_are_refused_are_told(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    target = VersionedTarget(bucket / "base")
    monkeypatch.setattr(store_of(bucket), "pipe_file", refused)
    with pytest.raises(TargetUnwritableError, match=r"permission denied by the object store; .* \(Access Denied\)"):
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


def replaces(patch: pytest.MonkeyPatch) -> None:
    """The store does not know conditions."""
    pipe_file = MemoryFileSystem.pipe_file
    patch.setattr(MemoryFileSystem, "pipe_file", lambda store, path, value, **_: pipe_file(store, path, value))


def knows_no_condition(patch: pytest.MonkeyPatch) -> None:
    """The library of the store does not know conditions."""
    pipe_file = MemoryFileSystem.pipe_file
    patch.setattr(MemoryFileSystem, "pipe_file", lambda store, path, value: pipe_file(store, path, value))


def only_reads(patch: pytest.MonkeyPatch) -> None:
    """The library of the store cannot write."""

    def refused(*_: object, **__: object) -> None:
        raise NotImplementedError("this file system is read-only")

    patch.setattr(MemoryFileSystem, "_open", refused)


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        (replaces, "two processes could publish the same version .* it replaces an object that was to be created"),
        (knows_no_condition, "two processes could publish the same version .* its library cannot create an object"),
        (only_reads, "models cannot be written to this kind of store .*read-only"),
    ],
)
def test_a_store_that_cannot_do_what_publishing_takes_is_refused_at_the_start(
    tmp_path: Path, lacks: Callable[..., None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacks(monkeypatch)
    with pytest.raises(PreflightError, match=said):
        VersionedTarget(f"memory://{tmp_path}").preflight(1)
