"""Publishes models as versions ``<base>/<number>/``, for servers that watch a base directory."""

from __future__ import annotations

import os

from autodist_saved.errors import OwnershipLostError, PreflightError
from autodist_saved.publish.best import BestBy
from autodist_saved.publish.draft_target import Draft, DraftTarget
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.ownership import Ownership
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.target_factory import base_at
from autodist_saved.report.report import ExportReport
from autodist_saved.system.error_translation import translated


class VersionedTarget(DraftTarget[Draft]):
    """Gives each model the next number in a base directory. One target takes all models of a job, one by one.

    A version appears as a whole, with the greatest number, and replaces nothing. After that, ``latest`` points to it,
    and old versions are removed. If one of these two fails, a warning is logged and the model stays published.
    """

    def __init__(
        self,
        base: str | os.PathLike[str],
        *,
        retention: Retention | None = None,
        exclusive: bool = True,
    ) -> None:
        """Touches no file.

        Args:
            base: directory of the versions, which is made if it does not exist; or a URL in an object store, such as
                ``s3://bucket/models``.
            retention: which versions stay; by default the newest five. ``Retention(keep=None)`` keeps all.
            exclusive: own ``base``, so that no other process can publish there. The ownership begins with
                :meth:`preflight` or the first export. It ends with :meth:`close`, or with this process.

        Raises:
            TargetUnwritableError: ``base`` is not a valid path.
            UsageError: the URL is not valid, or no library for this kind of object store is installed.
        """
        self._base = base_at(base)
        self._retention = retention or Retention()
        self._exclusive = exclusive
        self._ownership: Ownership | None = None

    @property
    def path(self) -> str:
        return str(self._base.path)

    @property
    def grows_on_disk(self) -> bool:
        return self._base.grows_on_disk

    def check(self) -> None:
        self._base.check()

    def preflight(self, nbytes: int, task: str = "") -> None:
        """See :meth:`Target.preflight`. Tries out everything that publishing needs, without a model. Makes ``base``.

        Raises:
            PreflightError: publishing would fail. The error lists all problems: missing permissions, too little space
                for the kept models and one more, a file system that cannot rename, dates in the future, another
                process that publishes there.
        """
        with translated("preflight"):
            problems = list(self._base.problems(nbytes, self._retention.keep, lambda: self._take(task)))
        if problems:
            raise PreflightError(f"publishing to {self.path} would fail", problems=problems, path=self.path)

    def open(self, task: str = "") -> SavedModelFiles:
        """See :meth:`Target.open`.

        Raises:
            OwnershipLostError: another process publishes to the same base.
            UsageError: another export to this target is under way.
        """
        return super().open(task)

    def commit(self) -> str:
        """See :meth:`Target.commit`. Raises ``OwnershipLostError`` if another process owns the base meanwhile."""
        version = super().commit()
        self._base.point_to_latest()
        self._retention.apply(self._base)
        return version

    def reports(self) -> list[ExportReport]:
        with translated("preflight"):
            return [
                version.report
                for version in self._base.settled()
                if version.report is not None and version.is_model and version.is_good
            ]

    def keeps_best(self, by: BestBy) -> bool:
        kept = self._retention.keep_best
        return self._retention.keep is None or (kept is not None and (kept.metric, kept.mode) == (by.metric, by.mode))

    def close(self) -> None:
        """Remove the draft, and let other processes publish to the base. May be called again."""
        self.abandon()
        self._ownership = None

    def _take(self, task: str) -> None:
        if not self._exclusive:
            return
        if self._ownership is None:
            self._ownership = self._base.take_ownership(task)
        self._check_ownership()

    def _check_ownership(self) -> None:
        if self._ownership is None:
            return
        try:
            self._ownership.check()
        except OwnershipLostError:
            self._ownership = None  # the next export tries to take it again
            raise

    def _stage(self, task: str) -> Draft:
        self._base.prepare()
        self._take(task)
        draft: Draft = self._base.stage(task)
        return draft

    def _appear(self, draft: Draft) -> str:
        self._check_ownership()
        return str(self._base.appear(draft))
