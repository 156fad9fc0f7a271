"""What is wrong with the files of a bundle, and the one place where it becomes an error for users."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.protobuf.message import DecodeError

from autodist_saved.errors import BundleError, TargetUnwritableError, UnreadableError
from autodist_saved.system.paths import ABSENT

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RESTORE = "copy it again from where it was written, or use another one"


class Damage(Exception):  # noqa: N818 - it never leaves this package: reporting() turns it into a BundleError
    """Bytes that are not what the format asks for.

    Attributes:
        what: what is wrong, without the path.
        fix: what its user can do.
    """

    def __init__(self, what: str, fix: str = _RESTORE) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


@contextmanager
def reporting(path: Path, variable: str | None = None) -> Iterator[None]:
    """Turn whatever goes wrong while ``path`` is read into a :class:`BundleError` that names it.

    Where it is there and cannot be read, that is an :class:`UnreadableError`.
    """
    try:
        yield
    except (Damage, DecodeError, *ABSENT) as error:
        what, fix = _explain(error)
        raise BundleError(f"{path}: {what}; {fix}", path=str(path), variable=variable) from error
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
            "make room, or choose another place" if error.errno in _FULL else "choose another place, or mend this one"
        )
        raise TargetUnwritableError(f"{path}: cannot be written ({_reason(error)}); {fix}", path=str(path)) from error


def _explain(error: Exception) -> tuple[str, str]:
    """What is wrong and what to do about it."""
    match error:
        case Damage():
            return error.what, error.fix
        case FileNotFoundError():
            return "there is no such file", "check the path, and that all files of the bundle were copied"
        case OSError():
            return f"it cannot be read ({_reason(error)})", "check the path"
        case _:
            return f"it holds a message that cannot be decoded ({error})", _RESTORE


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
