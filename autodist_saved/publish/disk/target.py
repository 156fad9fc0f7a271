"""A target on a local or mounted file system."""

from __future__ import annotations

import os

from autodist_saved.errors import TargetExistsError, TargetUnwritableError
from autodist_saved.publish.disk.draft import DraftDirectory, sweep
from autodist_saved.publish.disk.file_system import (
    check_writable,
    local_path,
    rename_onto_empty,
    rename_without_replacing,
)
from autodist_saved.publish.draft_target import DraftTarget


class LocalTarget(DraftTarget[DraftDirectory]):
    """A directory for one model. The draft is beside it, and gets its name at the commit."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reads and writes nothing yet.

        Raises:
            TargetUnwritableError: ``path`` is not a valid path of a file system.
        """
        self._path = local_path(path)

    @property
    def path(self) -> str:
        return str(self._path)

    def check(self) -> None:
        if os.path.lexists(self._path):
            self._check_free()
        check_writable(self._path.parent)

    def _check_free(self) -> None:
        if not self._path.is_dir() or self._path.is_symlink():
            raise TargetExistsError(
                f"{self._path} exists already and is not a directory; choose another export directory",
                path=self.path,
            )
        if any(self._path.iterdir()):
            raise TargetExistsError(
                f"Export directory {self._path} already exists, and isn't empty. It is never overwritten: choose "
                "another export directory, or move this one away",
                path=self.path,
            )
        if self._path.is_mount():
            raise TargetUnwritableError(
                f"another file system is mounted at {self._path}, so a model cannot appear there as a whole; "
                "export to a directory in it",
                path=self.path,
            )

    def _stage(self, task: str) -> DraftDirectory:  # noqa: ARG002 - there is no owner whose task a file would name
        self._path.parent.mkdir(parents=True, exist_ok=True)
        sweep(self._path.parent)
        return DraftDirectory(self._path.parent, self._path.name)

    def _appear(self, draft: DraftDirectory) -> str:
        is_directory = self._path.is_dir() and not self._path.is_symlink()
        try:
            draft.appear_at(self._path, rename_onto_empty if is_directory else rename_without_replacing)
        except FileExistsError as error:
            raise TargetExistsError(
                f"{self._path} appeared during the export, and stays as it is; export again to another directory",
                path=self.path,
            ) from error
        return self.path
