"""A version base in an object store: claims the place of a version, and then uploads the version there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from autodist_saved.errors import Problem, TargetError
from autodist_saved.publish.ownership import NamedOwnership, Ownership
from autodist_saved.publish.preflight import CLOCK_SECS, failure
from autodist_saved.publish.store import claim
from autodist_saved.publish.store.draft import StoreDraft
from autodist_saved.publish.store.objects import remove_model, remove_object
from autodist_saved.publish.store.uploads import hides_uploads
from autodist_saved.publish.version import Version, version_number, versions_in
from autodist_saved.publish.version_base import VersionBase
from autodist_saved.publish.warn_once import warn_once
from autodist_saved.system.error_translation import storing
from autodist_saved.system.paths import exists, hidden_name, modified

log = logging.getLogger(__name__)

_PROBE = b"something"


class StoreVersionBase(VersionBase[StoreDraft]):
    """A place in an object store. The number of a version is chosen when its export begins, because the objects of
    the version cannot be renamed later.
    """

    grows_on_disk = False

    def check(self) -> None:
        self.versions()
        _ = self._streams

    @cached_property
    def _streams(self) -> bool:
        """Whether data files can be uploads, tried out once. Raises ``TargetError`` if the store refuses uploads."""
        return hides_uploads(self.path)

    def problems(self, nbytes: int, keep: int | None, take_ownership: Callable[[], object]) -> Iterator[Problem]:  # noqa: ARG002
        probe = hidden_name(self.path, "preflight")
        unusable = list(failure(self.path, lambda: self._streams))
        unusable = unusable or list(failure(self.path, lambda: self._write(probe)))
        if not unusable:
            unusable = list(failure(self.path, lambda: self._find(probe)))
            unusable += failure(self.path, lambda: claim.check_exclusive(probe))
            unusable += self._refusals(failure(self.path, lambda: self._remove(probe)), keep)
        yield from unusable or failure(self.path, take_ownership)

    def versions(self) -> list[Version]:
        with storing(self.path):
            return versions_in(self.path) if exists(self.path) else []

    def settled(self) -> list[Version]:
        with storing(self.path):
            claimed = set(claim.claims_in(self.path)) if exists(self.path) else set()
        return [version for version in self.versions() if version.path not in claimed or version.is_model]

    def take_ownership(self, task: str) -> Ownership:
        return NamedOwnership.of(self.path, task)

    def remove(self, version: Version) -> None:
        with storing(version.path):
            remove_model(version.path)

    def prepare(self) -> None:
        """Nothing to do: a store has no directories that have to be made."""

    def stage(self, task: str) -> StoreDraft:
        self._sweep()
        number = 0
        while True:
            number = max(number + 1, self._next_number())
            place = self.path / str(number)
            try:
                held = claim.Claim(place, task)
            except FileExistsError:
                continue
            try:
                return StoreDraft(place, task, self._streams, held)
            except BaseException:
                held.release()
                raise

    def appear(self, draft: StoreDraft) -> Path:
        return draft.appear()

    def _sweep(self) -> None:
        with storing(self.path):
            claimed = list(claim.claims_in(self.path)) if exists(self.path) else []
        for place in claimed:
            if version_number(place.name) is not None:
                try:
                    claim.sweep(place)
                except TargetError as error:
                    warn_once(f"remains of exports in {self.path} cannot be removed", error)

    def _write(self, probe: Path) -> None:
        with storing(self.path):
            probe.write_bytes(_PROBE)

    def _find(self, probe: Path) -> None:
        """List and read the object that was just written, and compare its date with this machine's clock."""
        with storing(self.path):
            is_there = probe.name in {path.name for path in self.path.iterdir()} and probe.read_bytes() == _PROBE
            date = modified(probe) if is_there else None
        if not is_there:
            raise TargetError(
                f"an object that was written to {self.path} cannot be found there; choose another store",
                path=str(self.path),
            )
        if date is not None and abs(ahead_secs := date - time.time()) > CLOCK_SECS:
            raise TargetError(
                f"the clocks of {self.path} and of this machine differ by {abs(ahead_secs):.0f} seconds; "
                "set the clock of this machine",
                path=str(self.path),
            )

    def _remove(self, probe: Path) -> None:
        with storing(self.path):
            remove_object(probe)

    def _refusals(self, left: Iterator[Problem], keep: int | None) -> Iterator[Problem]:
        """Report that objects cannot be removed: as a problem if old versions have to go, else as a warning."""
        for problem in left:
            what = f"objects can be written there, but not removed: {problem.what}"
            if keep is None:
                log.warning("%s: %s; remains of exports beside the versions will stay", problem.place, what)
            else:
                fix = "give permission to remove objects, or keep all versions with Retention(keep=None)"
                yield Problem(problem.place, what, fix)
