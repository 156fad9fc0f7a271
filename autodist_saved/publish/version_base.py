"""The contract of a version base: where the versions of a model are, and how the next version gets there."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from autodist_saved.errors import Problem
from autodist_saved.publish.draft_target import Draft
from autodist_saved.publish.ownership import Ownership
from autodist_saved.publish.version import Version, number_after

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Draft)


class VersionBase(ABC, Generic[S]):
    """A directory, or a place in an object store, that contains the versions of a model."""

    grows_on_disk = True
    """See :attr:`Target.grows_on_disk`."""

    def __init__(self, path: Path) -> None:
        """Reads and writes nothing yet."""
        self.path = path

    @abstractmethod
    def check(self) -> None:
        """Check that the base can be written. Leaves no files behind. Raises ``TargetError``."""

    @abstractmethod
    def problems(self, nbytes: int, keep: int | None, take_ownership: Callable[[], object]) -> Iterator[Problem]:
        """Try out what publishing needs, and yield the problems.

        Args:
            nbytes: size of one model, in bytes.
            keep: number of versions that stay; None for all.
            take_ownership: raises ``OwnershipLostError`` if another process publishes to the base.
        """

    @abstractmethod
    def versions(self) -> list[Version]:
        """All entries whose names are numbers, in ascending order. Raises ``OSError``."""

    def settled(self) -> list[Version]:
        """All versions except those that are being written. Raises ``OSError``."""
        return self.versions()

    @abstractmethod
    def take_ownership(self, task: str) -> Ownership:
        """Take the ownership of the base for this process.

        Args:
            task: the task that publishes, for messages of other processes.

        Raises:
            OwnershipLostError: another process owns the base.
            OSError: the file that names the owner cannot be written.
        """

    @abstractmethod
    def remove(self, version: Version) -> None:
        """Remove a version, its graphs first. Raises ``OSError``.

        After a crash in the middle, loaders find no model, and the next export or removal finds the rest.
        """

    @abstractmethod
    def prepare(self) -> None:
        """Make the base, in which the file that names the owner will be."""

    @abstractmethod
    def stage(self, task: str) -> S:
        """Remove what crashed exports have left, and make a new draft.

        Args:
            task: the task that exports, for messages.
        """

    @abstractmethod
    def appear(self, draft: S) -> Path:
        """Publish the model of a draft as the version with the greatest number. Replaces nothing.

        Returns:
            path of the version.
        """

    def point_to_latest(self) -> None:
        """Make ``latest`` point to the newest model. If that fails, log a warning."""

    def _next_number(self) -> int:
        versions = self.versions()
        if versions and not versions[-1].is_model:
            log.warning("%s is not a model and is left alone; the next version comes after it", versions[-1].path)
        return number_after(versions)
