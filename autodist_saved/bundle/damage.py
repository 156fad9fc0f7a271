"""Damage in the files of a bundle, and how it becomes an error for users."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.protobuf.message import DecodeError

from autodist_saved.errors import BundleError, TargetUnwritableError, UnreadableError
from autodist_saved.system.foreign_files import ABSENT, NotAFileError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RESTORE = "copy it again from where it was written, or use another one"


class Damage(Exception):  # noqa: N818 - it never leaves this package: reporting() turns it into a BundleError
    """The bytes of a file do not follow the format.

    Attributes:
        what: what is wrong, without the path.
        fix: what the user can do.
    """

    def __init__(self, what: str, fix: str = _RESTORE) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


@contextmanager
def reporting(path: Path, variable: str | None = None) -> Iterator[None]:
    """Translate errors that the block raises while it reads ``path``. The new error names the path.

    Raises:
        BundleError: the file is missing or damaged.
        UnreadableError: the file exists and cannot be read.
    """
    try:
        yield
    except (Damage, DecodeError, *ABSENT) as error:
        what, fix = _explain(error)
        raise BundleError(f"{path}: {what}; {fix}", path=str(path), variable=variable) from error
    except MemoryError as error:
        what = "this process has not enough memory to read it; read it on a larger machine"
        raise UnreadableError(f"{path}: {what}", path=str(path), variable=variable) from error
    except OSError as error:
        what = f"it cannot be read ({_reason(error)}); check its permissions and its disk"
        raise UnreadableError(f"{path}: {what}", path=str(path), variable=variable) from error


@contextmanager
def reporting_unwritable(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` while ``path`` is written into a :class:`TargetUnwritableError` that names it."""
    try:
        yield
    except OSError as error:
        fix = (
            "free some space, or choose another place"
            if error.errno in _FULL
            else "choose another place, or repair this one"
        )
        raise TargetUnwritableError(f"{path}: cannot be written ({_reason(error)}); {fix}", path=str(path)) from error


def _explain(error: Exception) -> tuple[str, str]:
    """What is wrong and what to do about it."""
    match error:
        case Damage():
            return error.what, error.fix
        case NotAFileError():
            return error.what, _RESTORE
        case FileNotFoundError():
            return "there is no such file", "check the path, and that all files of the bundle were copied"
        case OSError():
            return f"it cannot be read ({_reason(error)})", "check the path"
        case _:
            return f"it contains a message that cannot be decoded ({error})", _RESTORE


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
