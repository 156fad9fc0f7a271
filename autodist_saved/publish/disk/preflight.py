"""Finds out whether a job can publish to a base directory, before the job trains for days."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from autodist_saved.errors import Problem
from autodist_saved.publish.disk.draft import DraftDirectory
from autodist_saved.publish.disk.file_system import check_writable, rename_without_replacing
from autodist_saved.publish.preflight import CLOCK_SECS, failure
from autodist_saved.publish.version import versions_in
from autodist_saved.system.paths import hidden_name


def find_problems(
    base: Path, nbytes: int, keep: int | None, take_ownership: Callable[[], object]
) -> Iterator[Problem]:
    """Make the base directory, and try out there what publishing needs.

    Args:
        base: directory of the versions.
        nbytes: size of one model, in bytes.
        keep: number of versions that stay; None for all.
        take_ownership: raises ``OwnershipLostError`` if another process publishes to the base.

    Raises:
        OSError: somebody has removed the base meanwhile.
    """
    unusable = list(failure(base, lambda: _make(base)))
    yield from unusable
    if unusable:
        return
    for attempt in (lambda: _publish_nothing(base), take_ownership):
        failed = list(failure(base, attempt))
        yield from failed
        if failed:
            break
    yield from _lack_of_room(base, nbytes, keep)
    yield from _dates_in_the_future(base)


def _make(base: Path) -> None:
    check_writable(base)
    base.mkdir(parents=True, exist_ok=True)
    versions_in(base)


def _publish_nothing(base: Path) -> None:
    draft = DraftDirectory(base, "preflight")
    place = hidden_name(base, "preflight")
    try:
        (draft.root / "file").write_bytes(b"something")
        draft.sync()
        draft.appear_at(place, rename_without_replacing)
    finally:
        draft.remove()
    with suppress(FileNotFoundError):  # another export has just swept it
        shutil.rmtree(place)


def _lack_of_room(base: Path, nbytes: int, keep: int | None) -> Iterator[Problem]:
    there = sum(version.is_ours for version in versions_in(base))
    models = 1 if keep is None else max(1, keep + 1 - there)
    disk = os.statvfs(base)
    free = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and free < models * nbytes:  # some network file systems do not report their size
        more = f"{models} more models" if models > 1 else "another model"
        yield Problem(
            str(base),
            f"only {free:,} bytes are free, too few for {more} of {nbytes:,} bytes",
            "free some space, keep fewer versions, or choose another base directory",
        )


def _dates_in_the_future(base: Path) -> Iterator[Problem]:
    """Compare dates with this machine's clock: of the versions, and of the base, which this preflight has modified.

    The file system's own clock sets these dates.
    """
    dates = {version.path: version.written or 0.0 for version in versions_in(base)} | {base: base.stat().st_mtime}
    latest = max(dates, key=dates.__getitem__)
    ahead = dates[latest] - time.time()
    if ahead > CLOCK_SECS:
        yield Problem(
            str(latest),
            f"its date is {ahead:.0f} seconds in the future, so versions would be removed at the wrong time",
            "set the clock of this machine, or of the file server; if both are right, `touch` the files in it",
        )
