"""What publication asks of a file system."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from autodist_saved.errors import TargetUnwritableError
from autodist_saved.system.paths import is_url

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


def local_path(path: str | os.PathLike[str]) -> Path:
    """The absolute path, a link at its end still a link. Touches no file.

    Raises:
        TargetUnwritableError: ``path`` names no place on a file system.
    """
    text = os.fsdecode(path)
    if is_url(text) or "\0" in text:
        raise TargetUnwritableError(f"{text!r} is no path on a file system; export to a directory", path=text)
    return Path(os.path.abspath(text))  # noqa: PTH100 - a link at the end stays a link


def check_writable(directory: Path) -> None:
    """Refuse a directory that cannot be written, or cannot be made. Leaves nothing behind.

    Raises:
        TargetUnwritableError: a file is in the way, a permission is missing, or the file system is read-only.
    """
    there = next(place for place in (directory, *directory.parents) if os.path.lexists(place))
    if not there.is_dir():
        raise TargetUnwritableError(
            f"{there} is a file, so no directory can be made below it; choose another export directory",
            path=str(directory),
        )
    if os.access(there, os.W_OK | os.X_OK):
        return
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        raise TargetUnwritableError(
            f"{there} is on a file system that is mounted read-only; choose another export directory",
            path=str(directory),
        )
    raise TargetUnwritableError(
        f"{there} cannot be written by this user; change its permissions or choose another export directory",
        path=str(directory),
    )


def sync(path: Path) -> None:
    """Have a file, or the entries of a directory, on the disk. Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = os.fspath(path)
        raise
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """The same for a directory and all below it, from the bottom up."""
    for root, _, files in os.walk(directory, topdown=False):
        for file in files:
            sync(Path(root) / file)
        sync(Path(root))


def rename_without_replacing(source: Path, target: Path) -> None:
    """``renameat2`` with ``RENAME_NOREPLACE``; where the file system has no such thing, a plain rename.

    A plain rename of a directory replaces an empty directory, and nothing else.

    Raises:
        FileExistsError: something is at ``target``.
        OSError: the file system cannot rename.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.renameat2(
        _AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(_RENAME_NOREPLACE)
    )
    if result == 0:
        return
    number = ctypes.get_errno()
    if number in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}:
        rename_onto_empty(source, target)
    else:
        raise _refusal(number, source, target)


def rename_onto_empty(source: Path, target: Path) -> None:
    """Replace an empty directory by another directory in one step, as POSIX has it. Raises as above."""
    try:
        source.rename(target)
    except OSError as error:
        raise _refusal(error.errno or 0, source, target) from error


def _refusal(number: int, source: Path, target: Path) -> OSError:
    """Python makes it a ``FileExistsError`` where something is at ``target``, of whatever kind."""
    number = errno.EEXIST if number in {errno.ENOTEMPTY, errno.ENOTDIR} else number
    return OSError(number, os.strerror(number), os.fspath(source), None, os.fspath(target))
