"""Targets whose models grow where nobody looks, one at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from autodist_saved.errors import UsageError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.target import Target


class Staging(ABC):
    """A place in which one model grows. :class:`Target` tells when its methods are called."""

    @property
    @abstractmethod
    def files(self) -> SavedModelFiles:
        """What is written."""

    def complete(self) -> None:  # noqa: B027 - where all is below the root there is nothing to be done
        """Have data files that are not below the root where they can be read back."""

    @abstractmethod
    def sync(self) -> None:
        """Have all of it durable. Raises ``OSError``."""

    @abstractmethod
    def remove(self) -> None:
        """Remove all of it, if it has not appeared. May be called again."""


S = TypeVar("S", bound=Staging)


class StagedTarget(Target, Generic[S]):
    """What such targets have in common: one staging place at a time, and when it goes."""

    _staging: S | None = None

    def open(self, task: str = "") -> SavedModelFiles:
        """As every target's. Raises ``UsageError`` while another export to this target is under way."""
        if self._staging is not None:
            raise UsageError(f"another export to {self.path} is under way; wait for it, or make another target")
        self._staging = self._stage(task)
        return self._staging.files

    def complete(self) -> None:
        if self._staging is not None:
            self._staging.complete()

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
    def _stage(self, task: str) -> S:
        """A new staging place, and away with what crashed exports have left."""

    @abstractmethod
    def _appear(self, staging: S) -> str:
        """Have what is staged appear as a model. Returns its place."""
