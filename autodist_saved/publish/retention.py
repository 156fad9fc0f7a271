"""Decides which versions stay in a base directory, and removes the others."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from pydantic import Field

from autodist_saved.errors import TargetError, UnreadableError
from autodist_saved.options import Options
from autodist_saved.publish.best import BestBy
from autodist_saved.publish.version import Version
from autodist_saved.publish.version_base import VersionBase
from autodist_saved.publish.warn_once import warn_once
from autodist_saved.system.error_translation import translated

log = logging.getLogger(__name__)

_DAY_SECS = 24 * 60 * 60


class Retention(Options):
    """Rules for the versions of a base directory. A version stays as long as one of the rules keeps it.

    Three kinds of versions always stay: the newest version that a loader can load, the version to which ``latest``
    points, and versions that this package has not made. The rest of a version whose removal did not finish always
    goes.

    Attributes:
        keep: number of newest versions that stay; None keeps all versions.
        keep_days: versions younger than this number of days stay. A clock that jumps ahead makes no version old: of
            the pauses between versions, the longest one counts as long as the second longest, and none for more than
            a quarter of this number.
        keep_every: versions whose number is divisible by this number stay.
        keep_best: the best version by this metric stays; if several are equally good, the newest of them.
    """

    keep: int | None = Field(default=5, ge=1)
    keep_days: float | None = Field(default=None, gt=0)
    keep_every: int | None = Field(default=None, ge=1)
    keep_best: BestBy | None = None

    def expired(self, versions: Sequence[Version], now: float) -> list[Version]:
        """The versions that no rule keeps. Removes nothing.

        Args:
            versions: the versions of one base directory, in ascending order.
            now: the time in seconds since 1970.
        """
        if self.keep is None:
            return []
        ours = [version for version in versions if version.is_ours]
        models = [version for version in ours if version.is_model]
        if len(ours) == len(models) <= self.keep:
            return []
        newest_good = next((version for version in reversed(models) if version.is_good), None)
        stay = {newest_good, self._best(models), *models[-self.keep :]}
        stay.update(version for version in models if version.is_linked)
        if self.keep_every is not None:
            stay.update(version for version in models if version.number % self.keep_every == 0)
        if self.keep_days is not None:
            stay.update(_younger(models, self.keep_days * _DAY_SECS, now))
        return [version for version in ours if version not in stay]

    def _best(self, models: Sequence[Version]) -> Version | None:
        if self.keep_best is None:
            return None
        metrics = {version: version.report.metrics for version in models if version.report is not None}
        while (best := self.keep_best.best(metrics.values())) is not None:
            for version in reversed([one for one in metrics if metrics[one].get(self.keep_best.metric) == best]):
                if version.is_good:
                    return version
                del metrics[version]
        return None

    def apply(self, base: VersionBase[Any]) -> list[Version]:
        """Remove the versions of a base directory that no rule keeps, oldest first.

        Errors of the file system or store do not raise: a warning is logged once.

        Returns:
            the removed versions.
        """
        try:
            with translated("commit"):
                expired = self.expired(base.settled(), time.time())
        except (TargetError, UnreadableError) as error:
            warn_once(f"the versions in {base.path} cannot be listed or read, so no old version is removed", error)
            return []
        refused = remove(base, expired)
        for refusal in refused.values():
            warn_once(f"versions in {base.path} have expired, but cannot be removed", refusal)
        return [version for version in expired if version not in refused]


def _younger(models: Sequence[Version], most_secs: float, now: float) -> Iterator[Version]:
    """The versions that are younger than ``most_secs``, by the sum of the pauses since each of them.

    The clock of the machine may jump, and dates written with it stay. So no single pause decides.
    """
    dates = {version: date for version in models if (date := _date(version)) is not None}
    pauses = [max(0.0, later - earlier) for earlier, later in itertools.pairwise([*dates.values(), now])]
    usual = sorted(pauses)[-2] if len(pauses) > 1 else 0.0
    age = 0.0
    for version, pause in zip(reversed(dates), reversed(pauses), strict=True):
        age += min(pause, usual, most_secs / 4)
        if age < most_secs:
            yield version
    yield from (version for version in models if version not in dates)


def _date(version: Version) -> float | None:
    """When a version was written; None if a store does not know it, or if somebody has just removed the version."""
    try:
        return version.written
    except FileNotFoundError:
        return None


def remove(base: VersionBase[Any], versions: Iterable[Version]) -> dict[Version, TargetError]:
    """Remove versions of a base directory. Errors of the file system or store do not raise.

    Returns:
        the versions that could not be removed, and the error of each.
    """
    refused: dict[Version, TargetError] = {}
    for version in versions:
        try:
            with translated("commit"), suppress(FileNotFoundError):  # another process removes it at the same time
                base.remove(version)
        except TargetError as error:
            refused[version] = error
        else:
            log.info("removed the expired version %s", version.path)
    return refused
