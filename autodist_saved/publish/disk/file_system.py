"""The operations of a file system that publishing needs."""

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
    """Make a path absolute. A symbolic link at its end is not followed. Reads no file.

    Raises:
        TargetUnwritableError: ``path`` is a URL, or not a valid path.
    """
    text = os.fsdecode(path)
    if is_url(text) or "\0" in text:
        raise TargetUnwritableError(f"{text!r} is not a path of a file system; export to a directory", path=text)
    return Path(os.path.abspath(text))  # noqa: PTH100 - Path.resolve would follow a link at the end


def check_writable(directory: Path) -> None:
    """Check that a directory can be written, or can be made. Writes nothing.

    Raises:
        TargetUnwritableError: a file is in the way, a permission is missing, or the file system is read-only.
    """
    there = next(place for place in (directory, *directory.parents) if os.path.lexists(place))
    if not there.is_dir():
        raise TargetUnwritableError(
            f"{there} is a file, so there can be no directory below it; choose another export directory",
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
        f"this user cannot write to {there}; change its permissions or choose another export directory",
        path=str(directory),
    )


def sync(path: Path) -> None:
    """Flush a file, or the entries of a directory, to the disk (``fsync``). Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = os.fspath(path)
        raise
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Flush a directory and everything below it, from the bottom up. Raises ``OSError``."""
    for root, _, files in os.walk(directory, topdown=False):
        for file in files:
            sync(Path(root) / file)
        sync(Path(root))


def rename_without_replacing(source: Path, target: Path) -> None:
    """Rename a directory, with Linux's ``renameat2`` and ``RENAME_NOREPLACE``.

    A file system that cannot do that gets a plain rename. It replaces an empty directory, and nothing else.

    Raises:
        FileExistsError: ``target`` exists.
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
    """Rename a directory; POSIX allows that ``target`` is an empty directory, and replaces it in the same step.

    Raises:
        FileExistsError: ``target`` is a file, or a directory that is not empty.
        OSError: the file system cannot rename.
    """
    try:
        source.rename(target)
    except OSError as error:
        raise _refusal(error.errno or 0, source, target) from error


def _refusal(number: int, source: Path, target: Path) -> OSError:
    """The error of a failed rename: a ``FileExistsError`` if anything is at ``target``."""
    number = errno.EEXIST if number in {errno.ENOTEMPTY, errno.ENOTDIR} else number
    return OSError(number, os.strerror(number), os.fspath(source), None, os.fspath(target))
