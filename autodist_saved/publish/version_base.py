"""The contract of a base: where versions of a model are, and how the next one gets there."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from autodist_saved.errors import Problem
from autodist_saved.publish.draft_target import Draft
from autodist_saved.publish.lease import Lease
from autodist_saved.publish.version import Version, number_after

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Draft)


class VersionBase(ABC, Generic[S]):
    """A directory, or a place in an object store, below which versions are."""

    grows_on_disk = True
    """As of :class:`Target`."""

    def __init__(self, path: Path) -> None:
        """Touches nothing."""
        self.path = path

    @abstractmethod
    def check(self) -> None:
        """Refuse a base that cannot be written. Leaves nothing behind. Raises ``TargetError``."""

    @abstractmethod
    def problems(self, nbytes: int, keep: int | None, take_lease: Callable[[], object]) -> Iterator[Problem]:
        """What would keep models out, tried out.

        Args:
            nbytes: bytes of one model.
            keep: how many versions stay; None for all.
            take_lease: raises where another process publishes to the base.
        """

    @abstractmethod
    def versions(self) -> list[Version]:
        """All that there are, and whatever else has a number for a name, in ascending order. Raises ``OSError``."""

    def settled(self) -> list[Version]:
        """Those that nobody is writing any more. Raises ``OSError``."""
        return self.versions()

    @abstractmethod
    def take_lease(self, task: str) -> Lease:
        """The right to publish there, of this process. ``task``: whose it is, for messages. Raises ``OSError``."""

    @abstractmethod
    def remove(self, version: Version) -> None:
        """Remove a version. What makes loaders take it for a model goes first; a crash leaves what the next export or
        removal finds. Raises ``OSError``.
        """

    @abstractmethod
    def prepare(self) -> None:
        """Have it there, for the lease."""

    @abstractmethod
    def stage(self, task: str) -> S:
        """A new staging place, and away with what crashed exports have left. ``task``: who exports, for messages."""

    @abstractmethod
    def appear(self, draft: S) -> Path:
        """Have what is staged appear as a version above all others, over none. Returns its place."""

    def point_to_latest(self) -> None:
        """Have ``latest`` point to the newest model. Never raises for a file system: a warning is logged."""

    def _next_number(self) -> int:
        versions = self.versions()
        if versions and not versions[-1].is_model:
            log.warning("%s is no model and is left alone; the next version comes after it", versions[-1].path)
        return number_after(versions)
