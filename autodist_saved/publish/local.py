"""A directory on a local or mounted file system."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import logging
import os
import re
import shutil
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path

from autodist_saved.errors import TargetExistsError, TargetUnwritableError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.target import Target

log = logging.getLogger(__name__)

_MARK = ".autodist_saved-"
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


class LocalTarget(Target):
    """Stages beside the target and renames. The staging directory's name is hidden and never a number.

    A staging directory is locked (``flock``) as long as its export lives. The kernel lets go of the lock when the
    process ends in whatever way, so that the next export to the same target knows what may be swept.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Touches no file.

        Raises:
            TargetUnwritableError: ``path`` names no place on a file system.
        """
        text = os.fsdecode(path)
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) or "\0" in text:
            raise TargetUnwritableError(
                f"{text!r} is no path on a file system; export to a directory and copy it from there", path=text
            )
        self._path = Path(os.path.abspath(text))  # noqa: PTH100 - a link at the end stays a link
        self._staging: Path | None = None
        self._lock: int | None = None
        self._remover: weakref.finalize[..., LocalTarget] | None = None

    @property
    def path(self) -> str:
        return str(self._path)

    def check(self) -> None:
        if os.path.lexists(self._path):
            self._check_free()
        parent = next(parent for parent in self._path.parents if os.path.lexists(parent))
        if not parent.is_dir():
            raise TargetUnwritableError(
                f"{parent} is a file, so no directory can be made below it; choose another export directory",
                path=self.path,
            )
        if not os.access(parent, os.W_OK | os.X_OK):
            raise TargetUnwritableError(
                f"{parent} cannot be written by this user; change its permissions or choose another export directory",
                path=self.path,
            )

    def _check_free(self) -> None:
        if not self._path.is_dir() or self._path.is_symlink():
            raise TargetExistsError(
                f"{self._path} is there already and is no directory; choose another export directory",
                path=self.path,
            )
        if any(self._path.iterdir()):
            raise TargetExistsError(
                f"Export directory {self._path} already exists, and isn't empty. It is never overwritten: choose "
                "another export directory, or move this one away",
                path=self.path,
            )

    def open(self) -> SavedModelFiles:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._sweep()
        # Between mkdir and flock another export may sweep the directory as a leftover: then there is a next one.
        while self._staging is None or not self._staging.exists():
            self._unlock()
            self._staging = self._path.parent / f".{self._path.name[:100]}{_MARK}{uuid.uuid4().hex}"
            self._staging.mkdir()
            self._lock = os.open(self._staging, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        # For the program that ends without a commit and without a crash.
        self._remover = weakref.finalize(self, shutil.rmtree, self._staging, ignore_errors=True)
        return SavedModelFiles(self._staging)

    def commit(self) -> str:
        if self._staging is None:
            raise TargetUnwritableError("nothing was staged", path=self.path)
        for path in _bottom_up(self._staging):
            _fsync(path)
        try:
            self._rename_into_place(self._staging)
        except OSError as error:
            if error.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
                raise TargetExistsError(
                    f"{self._path} appeared while it was being exported to, and is left as it is; export again to "
                    "another directory",
                    path=self.path,
                ) from error
            raise
        _fsync(self._path.parent)
        self._close()
        return self.path

    def abandon(self) -> None:
        if self._remover is not None:
            self._remover()
        self._close()

    def _rename_into_place(self, staging: Path) -> None:
        if self._path.is_dir() and not self._path.is_symlink():
            # Replaces an empty directory in one step and fails on any other, as POSIX demands.
            staging.rename(self._path)
            return
        _rename_without_replacing(staging, self._path)

    def _sweep(self) -> None:
        for leftover in self._path.parent.glob(f".*{_MARK}*"):
            try:
                lock = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError:
                continue  # it is no directory of ours, another's, or swept by another export at this moment
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            else:
                log.warning("removing %s, which an export that did not end has left", leftover)
                shutil.rmtree(leftover, ignore_errors=True)
            finally:
                os.close(lock)

    def _close(self) -> None:
        if self._remover is not None:
            self._remover.detach()
        self._staging = self._remover = None
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _bottom_up(directory: Path) -> Iterator[Path]:
    for root, _, files in os.walk(directory, topdown=False):
        yield from (Path(root) / file for file in files)
        yield Path(root)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename_without_replacing(source: Path, target: Path) -> None:
    """``renameat2`` with ``RENAME_NOREPLACE``; where the file system has no such thing, a plain rename."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.renameat2(
        _AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(_RENAME_NOREPLACE)
    )
    if result == 0:
        return
    number = ctypes.get_errno()
    if number not in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}:
        raise OSError(number, os.strerror(number), os.fspath(source), None, os.fspath(target))
    source.rename(target)
