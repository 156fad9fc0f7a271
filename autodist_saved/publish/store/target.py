"""A target in an object store."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from autodist_saved.errors import TargetExistsError
from autodist_saved.publish.draft_target import DraftTarget
from autodist_saved.publish.store import claim
from autodist_saved.publish.store.draft import StoreDraft
from autodist_saved.publish.store.uploads import hides_uploads
from autodist_saved.system.error_translation import storing
from autodist_saved.system.paths import exists


class StoreTarget(DraftTarget[StoreDraft]):
    """The place of one model. Its files are uploaded there, the graphs last."""

    def __init__(self, place: Path) -> None:
        """Calls the store for nothing yet. ``place`` comes from :func:`path_of`."""
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
        """Whether data files can be uploads, tried out once. Raises ``TargetError`` if the store refuses uploads."""
        return hides_uploads(self._place.parent)

    def _stage(self, task: str) -> StoreDraft:
        claim.sweep(self._place)
        return StoreDraft(self._place, task, self._streams)

    def _appear(self, draft: StoreDraft) -> str:
        return str(draft.appear())
