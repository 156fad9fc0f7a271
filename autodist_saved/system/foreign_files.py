"""Opens files that others may have made: regular files only, inside their directory, and no longer than agreed.

A name in a downloaded model may belong to a pipe that nobody writes to, to a device, or to a link that leads to any
file of this machine. All code that reads such a model, a checkpoint or a manifest opens its files here.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, cast

from autodist_saved.system.paths import is_remote, store_of

if TYPE_CHECKING:
    from upath import UPath


class NotAFileError(OSError):
    """There is something, and it is not a file to read.

    Attributes:
        what: what it is.
    """

    def __init__(self, what: str, path: Path) -> None:
        """``path`` is where it is."""
        super().__init__(errno.EINVAL, what, str(path))
        self.what = what


ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError, NotAFileError)
"""Errors that mean that there is no such file. Any other error says nothing about what is there."""

_READ_AHEAD_BYTES = 8 * 2**20
# Without O_NONBLOCK, opening a pipe would wait for a writer.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISLNK, "a link"),
)


def open_to_read(path: Path, root: Path | None = None) -> BufferedReader:
    """Open a file to read any bytes of it. From an object store it fetches little more than these.

    Args:
        path: the file.
        root: the directory, such as that of a model, in which the file must be. Links in it may lead to files in it.
            ``root`` itself may be reached by links. None if a person has named the file: its links are followed.

    Raises:
        NotAFileError: it is a pipe, a device or a socket; or a link leads out of ``root``, or in a circle.
        OSError: it does not exist, is a directory, or cannot be read; or an error of the store's library.
    """
    if is_remote(path):
        return cast(BufferedReader, store_of(path).open(str(path), "rb", block_size=_READ_AHEAD_BYTES))
    with _located(path, root) as place:
        descriptor = os.open(place.name, _FLAGS, dir_fd=place.directory)
    try:
        _check_regular(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_file(path: Path, most_bytes: int, root: Path | None = None) -> bytes:
    """Read a whole file of at most ``most_bytes`` bytes.

    Args:
        path: the file.
        most_bytes: a longer file is not read.
        root: as for :func:`open_to_read`.

    Raises:
        NotAFileError: the file is longer, or grows; and as :func:`open_to_read`.
        OSError: as :func:`open_to_read`.
    """
    with open_to_read(path, root) as file:
        nbytes = file.seek(0, os.SEEK_END) if is_remote(path) else os.fstat(file.fileno()).st_size
        if nbytes > most_bytes:
            raise NotAFileError(f"it has {nbytes:,} bytes, and a file of its kind has at most {most_bytes:,}", path)
        file.seek(0)
        contents = file.read(nbytes + 1) or b""
    if len(contents) > nbytes:
        raise NotAFileError("it grows while it is read, or is no file with a size", path)
    return contents


def size_of(path: Path, root: Path | None = None) -> int:
    """The size of a file in bytes. ``root`` and errors are as for :func:`open_to_read`."""
    if is_remote(path):
        info = store_of(path).info(str(path))
        if info["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        return int(info["size"])
    with _located(path, root) as place:
        return place.nbytes


def is_file_in(path: Path, root: Path) -> bool:
    """Whether there is a file at a path that :func:`open_to_read` opens. Raises ``OSError`` if it cannot tell."""
    try:
        size_of(path, root)
    except ABSENT:
        return False
    return True


def files_in(directory: Path) -> dict[str, Path]:
    """All files in a directory and in the directories below it: relative path to path, sorted.

    What :func:`open_to_read` would not open is left out.

    Raises ``OSError``, or an error of the store's library.
    """
    if is_remote(directory):
        top = cast("UPath", directory).path.rstrip("/") + "/"
        names = [key.removeprefix(top) for key in store_of(directory).find(str(directory))]
        return {name: directory / name for name in sorted(names)}
    found = {path.relative_to(directory).as_posix(): path for path in sorted(directory.rglob("*"))}
    return {name: path for name, path in found.items() if not path.is_dir() and is_file_in(path, directory)}


def is_path_inside(name: object) -> bool:
    """Whether it is a relative path in its normal form, without ``.`` and ``..``."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    path = PurePosixPath(name)
    return str(path) == name and not path.is_absolute() and name != "." and ".." not in path.parts


class _Place(NamedTuple):
    """Where a regular file was found: the descriptor of its directory, its name there, and its size."""

    directory: int
    name: str
    nbytes: int


@contextmanager
def _located(path: Path, root: Path | None) -> Iterator[_Place]:
    """Go to a regular file on this machine. Its directory stays open during the block."""
    real = _real(path)
    real_root = real.parent if root is None else _real(root)
    if not real.is_relative_to(real_root):
        raise NotAFileError(f"it leads out of {root}, to {real}", path)
    *directories, name = real.relative_to(real_root).parts or (".",)
    # From directory to directory without following links: somebody may replace one by a link at this moment.
    with ExitStack() as opened:
        above: int | None = None
        for directory in (str(real_root), *directories):
            above = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            opened.callback(os.close, above)
        # Asked before it is opened: opening a device may have effects.
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
        _check_regular(status, path)
        yield _Place(cast(int, above), name, status.st_size)


def _real(path: Path) -> Path:
    """The path without links. Raises ``OSError``."""
    try:
        return path.resolve(strict=True)
    except (RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.ELOOP:
            raise
        raise NotAFileError("its links lead in a circle", path) from error


def _check_regular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = next((kind for is_kind, kind in _KINDS if is_kind(status.st_mode)), "something else")
    raise NotAFileError(f"it is {kind}, and not a file", path)
