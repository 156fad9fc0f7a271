"""Which versions stay in a base directory."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Sequence
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
    """Rules of what stays. A version stays as long as one of them wants it.

    Whatever they say, the newest version that is whole stays, and so does what this package has not made. What a
    removal that did not end has left is none, and goes.

    Attributes:
        keep: the newest so many stay; None for all.
        keep_days: younger ones stay.
        keep_every: those whose number it divides stay.
        keep_best: the best one by this metric stays, the newest of several.
    """

    keep: int | None = Field(default=5, ge=1)
    keep_days: float | None = Field(default=None, gt=0)
    keep_every: int | None = Field(default=None, ge=1)
    keep_best: BestBy | None = None

    def expired(self, versions: Sequence[Version], now: float) -> list[Version]:
        """Those that no rule wants. Removes nothing.

        Args:
            versions: of one base, in ascending order.
            now: in seconds since the epoch.
        """
        if self.keep is None:
            return []
        ours = [version for version in versions if version.is_ours]
        models = [version for version in ours if version.is_model]
        if len(ours) == len(models) <= self.keep:
            return []
        newest_good = next((version for version in reversed(models) if version.is_good), None)
        stay = {newest_good, self._best(models), *models[-self.keep :]}
        stay.update(version for version in models if version not in stay and self._wants(version, now))
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

    def _wants(self, version: Version, now: float) -> bool:
        return (self.keep_every is not None and version.number % self.keep_every == 0) or (
            self.keep_days is not None and _days_old(version, now) < self.keep_days
        )

    def apply(self, base: VersionBase[Any]) -> list[Version]:
        """Remove the versions of a base that no rule wants, oldest first. Never raises for a file system.

        Returns:
            those that are removed; why others could not be is logged, once.
        """
        try:
            with translated("commit"):
                expired = self.expired(base.settled(), time.time())
        except (TargetError, UnreadableError) as error:
            warn_once(f"the versions in {base.path} cannot be looked through, so old ones stay", error)
            return []
        refused = remove(base, expired)
        for refusal in refused.values():
            warn_once(f"versions in {base.path} have expired, but cannot be removed", refusal)
        return [version for version in expired if version not in refused]


def _days_old(version: Version, now: float) -> float:
    try:
        date = version.written
    except FileNotFoundError:
        return math.inf  # another process that publishes there has removed it meanwhile
    return 0.0 if date is None else (now - date) / _DAY_SECS


def remove(base: VersionBase[Any], versions: Iterable[Version]) -> dict[Version, TargetError]:
    """Remove versions of a base. Never raises for a file system.

    Returns:
        those that could not be removed, and why.
    """
    refused: dict[Version, TargetError] = {}
    for version in versions:
        try:
            with translated("commit"), suppress(FileNotFoundError):  # somebody else removes it at the same time
                base.remove(version)
        except TargetError as error:
            refused[version] = error
        else:
            log.info("removed version %s, which has expired", version.path)
    return refused
