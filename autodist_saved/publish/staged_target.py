"""Targets on a file system: a model grows in a hidden directory beside its place, and appears with a rename."""

from __future__ import annotations

from abc import abstractmethod

from autodist_saved.errors import UsageError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.staging import StagingDirectory
from autodist_saved.publish.target import Target


class StagedTarget(Target):
    """What such targets have in common: one staging directory at a time, and when it goes."""

    _staging: StagingDirectory | None = None

    def open(self, task: str = "") -> SavedModelFiles:
        """As every target's. Raises ``UsageError`` while another export to this target is under way."""
        if self._staging is not None:
            raise UsageError(f"another export to {self.path} is under way; wait for it, or make another target")
        self._staging = self._stage(task)
        return SavedModelFiles(self._staging.root)

    def commit(self) -> str:
        """As every target's. Raises ``UsageError`` where nothing is staged."""
        if self._staging is None:
            raise UsageError(f"nothing is staged for {self.path}; call open() before commit()")
        self._staging.sync()
        place = self._appear(self._staging)
        self._staging = None
        return place

    def abandon(self) -> None:
        if self._staging is not None:
            self._staging.remove()
            self._staging = None

    @abstractmethod
    def _stage(self, task: str) -> StagingDirectory:
        """A new staging directory, and away with what crashed exports have left."""

    @abstractmethod
    def _appear(self, staging: StagingDirectory) -> str:
        """Give the model its name. Returns its place."""
