"""Paths, on a file system or in an object store."""

from __future__ import annotations

import os
import re
import uuid
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from autodist_saved.errors import UsageError

if TYPE_CHECKING:
    from upath import UPath

_HIDDEN_MARK = ".autodist_saved-"
_NAME_BYTES = 100

_HIDDEN = re.compile(rf"\..*{re.escape(_HIDDEN_MARK)}[0-9a-f]{{32}}", re.DOTALL)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/@]*:(?!\d*/)[^@]*@")
_LOCAL = {"", "file", "local"}
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
"""What is raised where there is no such file. Whatever else is raised says nothing of what is there."""

_READ_AHEAD_BYTES = 8 * 2**20


def path_of(place: str | os.PathLike[str] | UPath) -> Path:
    """What a path, or a URL such as ``s3://bucket/models``, means. Touches no file.

    A path in an object store is a ``UPath`` and has the methods of a ``Path``, but for links and renaming. It never
    answers from an old listing. Credentials and endpoints are those that the store's own library finds.

    Raises:
        UsageError: no library for this kind of store is installed; or there is a password in the URL, which would
            come into logs and manifests.
    """
    if isinstance(place, str | bytes | os.PathLike) and not is_url(place):
        return Path(os.fsdecode(place))
    if user_info := _USER_INFO.match(str(place)):
        raise UsageError(
            f"a URL of {user_info[1]} holds a user and a password; leave them out of the URL: credentials are "
            "found by the store's own library, see its documentation"
        )
    import fsspec
    from upath import UPath

    protocol = UPath(place).protocol if not isinstance(place, str) else place.partition("://")[0]
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError as error:
        fix = "correct what is before ://, such as s3 or gs; a directory of this machine has no such thing"
        raise UsageError(f"{place} cannot be opened ({error}); {fix}") from error
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        fix = f"pip install 'autodist-saved[{extra}]'" if extra else "install what the message names"
        raise UsageError(f"{place} cannot be opened ({error}); {fix}") from error
    path = UPath(place, use_listings_cache=False)
    if protocol in _EXTRAS and not path.drive:
        raise UsageError(f"{place} names no bucket; write it as in {protocol}://bucket/models")
    return Path(path.path) if protocol in _LOCAL else cast(Path, path)


def is_url(place: str | bytes | os.PathLike[str]) -> bool:
    """Whether it is no path of this machine."""
    return _URL.match(os.fsdecode(place)) is not None


def is_remote(path: Path) -> bool:
    """Whether it is in an object store."""
    return not isinstance(path, Path)


def store_of(path: Path) -> Any:
    """The ``fsspec.AbstractFileSystem`` of a path in an object store; it takes the path as a string."""
    return cast("UPath", path).fs


def exists(path: Path) -> bool:
    """Whether anything is there. Raises ``OSError``, and what a store's library does, where that cannot be told."""
    return _kind(path) is not None if is_remote(path) else path.exists()


def is_file(path: Path) -> bool:
    """Whether a file is there. Raises as :func:`exists` does."""
    return _kind(path) == "file" if is_remote(path) else path.is_file()


def is_dir(path: Path) -> bool:
    """Whether a directory is there. Raises as :func:`exists` does."""
    return _kind(path) == "directory" if is_remote(path) else path.is_dir()


def absence(path: Path) -> str:
    """What to say of a place where there is nothing: that it is not there, or not even its bucket.

    Raises as :func:`exists` does.
    """
    if is_remote(path) and path.drive:
        bucket = cast("UPath", path).with_segments(path.anchor)
        with suppress(PermissionError):  # of the whole bucket; the place itself could be asked for
            if not exists(cast(Path, bucket)):
                return f"there is no bucket {path.drive}"
    return f"there is no {path}"


def _kind(path: Path) -> str | None:
    """What is at a place of a store. Where the store does not answer this raises; fsspec's own questions say no."""
    try:
        return str(store_of(path).info(str(path))["type"])
    except FileNotFoundError:
        return None


def open_to_read(path: Path) -> BufferedReader:
    """Open a file, to read bytes anywhere in it, and little more than them. Raises what the store's library does."""
    if is_remote(path):
        return cast(BufferedReader, store_of(path).open(str(path), "rb", block_size=_READ_AHEAD_BYTES))
    return path.open("rb")


def files_below(directory: Path) -> dict[str, Path]:
    """Every file in a directory and all below it, by path from there, sorted.

    Raises ``OSError``, and what the store's library does.
    """
    if not is_remote(directory):
        paths = [path for path in directory.rglob("*") if path.is_file()]
        return {path.relative_to(directory).as_posix(): path for path in sorted(paths)}
    top = cast("UPath", directory).path.rstrip("/") + "/"
    names = [key.removeprefix(top) for key in store_of(directory).find(str(directory))]
    return {name: directory / name for name in sorted(names)}


def modified(path: Path) -> float | None:
    """When it was written, in seconds since the epoch; of a link, the link. None where a store does not tell."""
    if not is_remote(path):
        return path.lstat().st_mtime
    try:
        return float(store_of(path).modified(str(path)).timestamp())
    except (IsADirectoryError, NotImplementedError):
        return None


def hidden_name(parent: Path, name: str) -> Path:
    """A new name of ours, at which no server looks.

    Args:
        parent: the directory.
        name: for people who look into it.
    """
    return parent / f".{os.fsdecode(os.fsencode(name)[:_NAME_BYTES])}{_HIDDEN_MARK}{uuid.uuid4().hex}"


def is_hidden_name(name: str) -> bool:
    """Whether :func:`hidden_name` may have made it. People's own copies of ours have other endings."""
    return _HIDDEN.fullmatch(name) is not None
