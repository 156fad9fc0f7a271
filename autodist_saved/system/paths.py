"""Paths, on a file system or in an object store."""

from __future__ import annotations

import os
import re
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from autodist_saved.errors import UsageError

if TYPE_CHECKING:
    from upath import UPath

_HIDDEN_MARK = ".autodist_saved-"
_NAME_BYTES = 100  # of a hidden name; with its mark it stays below the 255 bytes that file systems allow

_HIDDEN = re.compile(rf"\..*{re.escape(_HIDDEN_MARK)}[0-9a-f]{{32}}", re.DOTALL)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/@]*:(?!\d*/)[^@]*@")
_LOCAL = {"", "file", "local"}
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}


def path_of(place: str | os.PathLike[str] | UPath) -> Path:
    """Turn a path, or a URL such as ``s3://bucket/models``, into a path object. Reads no file.

    A path in an object store is a ``UPath``. It has the methods of a ``Path`` except those for links and renaming,
    and does not cache listings. The store's own library finds credentials and the endpoint.

    Raises:
        UsageError: no library for this kind of store is installed; or the URL names no bucket; or it contains a
            password, which would appear in logs and manifests.
    """
    if isinstance(place, str | bytes | os.PathLike) and not is_url(place):
        return Path(os.fsdecode(place))
    if user_info := _USER_INFO.match(str(place)):
        raise UsageError(
            f"a URL of {user_info[1]} contains a user and a password; leave them out of the URL: the store's own "
            "library finds credentials, see its documentation"
        )
    import fsspec
    from upath import UPath

    protocol = UPath(place).protocol if not isinstance(place, str) else place.partition("://")[0]
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError as error:
        fix = "correct the part before ://, such as s3 or gs; the path of a local directory has no such part"
        raise UsageError(f"{place} cannot be opened ({error}); {fix}") from error
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        fix = f"pip install 'autodist-saved[{extra}]'" if extra else "install the library that the message names"
        raise UsageError(f"{place} cannot be opened ({error}); {fix}") from error
    path = UPath(place, use_listings_cache=False)
    if protocol in _EXTRAS and not path.drive:
        raise UsageError(f"{place} names no bucket; add one, as in {protocol}://bucket/models")
    return Path(path.path) if protocol in _LOCAL else cast(Path, path)


def is_url(place: str | bytes | os.PathLike[str]) -> bool:
    """Whether the place is a URL, and not the path of a file on this machine."""
    return _URL.match(os.fsdecode(place)) is not None


def is_remote(path: Path) -> bool:
    """Whether the path is in an object store."""
    return not isinstance(path, Path)


def store_of(path: Path) -> Any:
    """The ``fsspec.AbstractFileSystem`` of a path in an object store. Its methods take the path as a string."""
    return cast("UPath", path).fs


def exists(path: Path) -> bool:
    """Whether there is anything at a path, such as a link that leads to nothing.

    Raises ``OSError``, or an error of the store's library, if the answer cannot be found out.
    """
    if is_remote(path):
        return _kind(path) is not None
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last for a name with NUL
        return False
    return True


def is_file(path: Path) -> bool:
    """Whether there is a file at a path. Raises as :func:`exists` does."""
    return _kind(path) == "file" if is_remote(path) else path.is_file()


def is_dir(path: Path) -> bool:
    """Whether there is a directory at a path. Raises as :func:`exists` does."""
    return _kind(path) == "directory" if is_remote(path) else path.is_dir()


def absence_message(path: Path) -> str:
    """The message for a path where nothing was found: it says whether the path or its whole bucket does not exist.

    Raises as :func:`exists` does.
    """
    if is_remote(path) and path.drive:
        bucket = cast("UPath", path).with_segments(path.anchor)
        with suppress(PermissionError):  # credentials may allow to read this path, but not to ask for the bucket
            if not exists(cast(Path, bucket)):
                return f"there is no bucket {path.drive}"
    return f"there is no {path}"


def _kind(path: Path) -> str | None:
    """What is at a path of a store. Raises if the store does not answer, where fsspec's own ``exists()`` says no."""
    try:
        return str(store_of(path).info(str(path))["type"])
    except FileNotFoundError:
        return None


def modified(path: Path) -> float | None:
    """When a file, or the link itself, was last written, in seconds since 1970. None if a store does not know it."""
    if not is_remote(path):
        return path.lstat().st_mtime
    try:
        return float(store_of(path).modified(str(path)).timestamp())
    except (IsADirectoryError, NotImplementedError):
        return None


def hidden_name(parent: Path, name: str) -> Path:
    """A new unique path with a hidden name, which model servers ignore.

    Args:
        parent: the directory.
        name: becomes part of the new name, so that people who look into the directory know what it belongs to.
    """
    return parent / f".{os.fsdecode(os.fsencode(name)[:_NAME_BYTES])}{_HIDDEN_MARK}{uuid.uuid4().hex}"


def is_hidden_name(name: str) -> bool:
    """Whether :func:`hidden_name` may have made this name.

    The whole name must match: a copy that a user has made, such as ``NAME.bak``, is not ours to remove.
    """
    return _HIDDEN.fullmatch(name) is not None
