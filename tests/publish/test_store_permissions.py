"""Stores in which one may do less than everything, as the rights of a user are given there."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import autodist_saved as ads
from autodist_saved.errors import PreflightError, TargetError, TargetUnwritableError, UsageError
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.versioned import VersionedTarget
from autodist_saved.system.paths import path_of
from tests.support.command_line import run
from tests.support.object_store import keys, models, uploads
from tests.support.versions import publish

WRITING = ("s3:Get*", "s3:List*", "s3:Put*", "s3:Abort*")
"""What it takes to publish, and not to remove."""


@pytest.fixture
def base(bucket: Path) -> str:
    """Two versions."""
    target = VersionedTarget(bucket / "base")
    for _ in range(2):
        publish(target)
    target.close()
    gc.collect()  # s3fs keeps errors in cycles, and they the ownership, which has these rights
    return f"{bucket}base"


def versions(base: str) -> list[str]:
    return sorted({key.split("/")[0] for key in models(path_of(base))})


def test_prune_says_what_the_store_does_not_let_it_remove(base: str, allow: Callable[..., None]) -> None:
    allow(*WRITING)
    done = run("prune", base, "--keep", 1)
    assert done.status == 3
    assert done.stdout == ""
    assert f"{base}/1: " in done.stderr
    assert "Access" in done.stderr
    told = run("prune", base, "--keep", 1, "--json")
    assert told.status == 3
    assert told.told["removed"] == []
    assert told.told["stays"] == [f"{base}/1", f"{base}/2"]
    assert [problem["place"] for problem in told.told["problems"]] == [f"{base}/1"]
    assert versions(base) == ["1", "2"]


def test_what_cannot_be_removed_is_told_once_and_no_export_fails(
    base: str, allow: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    allow(*WRITING)
    target = VersionedTarget(base, retention=Retention(keep=1))
    published = [publish(target) for _ in range(3)]
    assert published == [f"{base}/{number}" for number in (3, 4, 5)]
    assert versions(base) == ["1", "2", "3", "4", "5"]
    # Not of what killed exports of other programs have left in this machine's directory for temporary files.
    warnings = [
        record.message for record in caplog.records if record.levelno >= logging.WARNING and base in record.message
    ]
    assert len(warnings) == 2, warnings
    for what in (f"versions in {base} have expired, but", f"remains of exports in {base}"):
        assert sum(warning.startswith(what) for warning in warnings) == 1


def test_a_store_in_which_nothing_can_be_removed_is_told_at_the_start(
    bucket: Path, allow: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    allow(*WRITING)
    base = f"{bucket}base"
    with pytest.raises(PreflightError, match="not removed: .*denied|not removed: .*refuse") as caught:
        VersionedTarget(base).preflight(1)
    assert caught.value.problems[0].fix.startswith("give permission to remove objects, or keep all versions")
    assert not caplog.records
    target = VersionedTarget(base, retention=Retention(keep=None))
    target.preflight(1)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "objects can be written there, but not removed" in caplog.text
    assert publish(target) == f"{base}/1"


@pytest.mark.parametrize("kind", [str, VersionedTarget])
def test_a_builder_is_not_made_for_a_store_that_takes_nothing(
    bucket: Path, allow: Callable[..., None], kind: Callable[[str], Any]
) -> None:
    """Before the training, not after."""
    with pytest.raises(TargetError, match=r"^s3://there-is-none/a?: there is no such bucket.*; make the bucket"):
        ads.SavedModelBuilder(kind("s3://there-is-none/a"))
    with pytest.raises(UsageError, match=r"verify='full' loads the model from a directory"):
        ads.SavedModelBuilder(kind(f"{bucket}a"), options=ads.ExportOptions(verify="full"))
    ads.SavedModelBuilder(kind(f"{bucket}a"))
    assert (keys(bucket), uploads(bucket)) == ([], [])
    allow("s3:Get*", "s3:List*")
    with pytest.raises(TargetUnwritableError, match="permission denied.*Access Denied") as caught:
        ads.SavedModelBuilder(kind(f"{bucket}a"))
    assert str(caught.value.path).startswith(str(bucket).rstrip("/"))
    assert ".probe" not in str(caught.value)


def test_who_may_do_all_leaves_nothing_behind(base: str, allow: Callable[..., None]) -> None:
    allow("s3:*")
    target = VersionedTarget(base, retention=Retention(keep=1))
    target.preflight(1)
    publish(target)
    assert versions(base) == ["3"]
    assert [key for key in keys(path_of(base)) if key.startswith(".")] == [".autodist_saved-owner"]
