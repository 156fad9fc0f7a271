"""The double of a target: a plain directory, which can be made to fail."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from autodist_saved.errors import TargetExistsError, TargetUnwritableError, UsageError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.target import Target

Call = Literal["preflight", "check", "open", "complete", "commit"]


class FolderTarget(Target):
    """Takes one model into a directory, without locks and without flushing. For one process and one thread.

    Attributes:
        fails_at: the methods that raise ``TargetUnwritableError``. A test may change it at any time.
        calls: the names of the methods that were called, in this order.
    """

    def __init__(self, place: Path, *, fails_at: Collection[Call] = ()) -> None:
        """Touches nothing. The model will be at ``place``, and until then at ``place`` with ``.draft`` behind."""
        self.fails_at = set(fails_at)
        self.calls: list[str] = []
        self._place = place
        self._draft = place.with_name(f".{place.name}.draft-{id(self):x}")

    @property
    def path(self) -> str:
        return str(self._place)

    def preflight(self, nbytes: int, task: str = "") -> None:
        del nbytes, task
        self._called("preflight")

    def check(self) -> None:
        self._called("check")
        if self._place.exists():
            raise TargetExistsError(f"{self._place} is there already; choose another directory", path=self.path)

    def open(self, task: str = "") -> SavedModelFiles:
        del task
        self._called("open")
        if self._draft.exists():
            raise UsageError(f"another export to {self.path} is under way; wait for it, or make another target")
        self._draft.mkdir(parents=True)
        return SavedModelFiles(self._draft)

    def complete(self) -> None:
        self._called("complete")

    def commit(self) -> str:
        self._called("commit")
        self.check()
        self._draft.rename(self._place)
        return self.path

    def abandon(self) -> None:
        self.calls.append("abandon")
        shutil.rmtree(self._draft, ignore_errors=True)

    def _called(self, method: Call) -> None:
        self.calls.append(method)
        if method in self.fails_at:
            raise TargetUnwritableError(f"{method}() of {self.path} fails, as the test wants it", path=self.path)
