"""A place in an object store."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from autodist_saved.errors import TargetExistsError
from autodist_saved.foreign import storing
from autodist_saved.paths import exists
from autodist_saved.publish.staged_target import StagedTarget
from autodist_saved.publish.store import claim
from autodist_saved.publish.store.staging import StoreStaging
from autodist_saved.publish.store.uploads import holds_uploads_back


class StoreTarget(StagedTarget[StoreStaging]):
    """Uploads to its place, the graphs last."""

    def __init__(self, place: Path) -> None:
        """Asks the store for nothing. ``place``: of :func:`path_of`."""
        self._place = place

    @property
    def path(self) -> str:
        return str(self._place)

    @property
    def grows_on_disk(self) -> bool:
        return False

    def check(self) -> None:
        with storing(self._place):
            if exists(self._place) and not claim.is_left(self._place):
                raise TargetExistsError(
                    f"Export directory {self._place} already exists, and isn't empty. It is never overwritten: "
                    "choose another one, or move this one away",
                    path=self.path,
                )
        _ = self._streams

    @cached_property
    def _streams(self) -> bool:
        """Whether the store holds uploads back, tried out once. Raises ``TargetError`` where it takes none."""
        return holds_uploads_back(self._place.parent)

    def _stage(self, task: str) -> StoreStaging:
        claim.sweep(self._place)
        return StoreStaging(self._place, task, self._streams)

    def _appear(self, staging: StoreStaging) -> str:
        return str(staging.appear())
