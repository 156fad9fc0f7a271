"""Translates errors of TensorFlow, gRPC, object stores and the operating system into this package's own.

It compares classes by name and imports none of these libraries, because most of its callers work without them.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from autodist_saved.errors import (
    AutodistSavedError,
    ExportError,
    JobError,
    ModelError,
    TargetError,
    TargetExistsError,
    TargetUnwritableError,
    TaskUnreachableError,
    UnreadableError,
)
from autodist_saved.system.foreign_files import ABSENT

_Translation = tuple[Callable[..., AutodistSavedError], str]

_GONE = (
    TaskUnreachableError,
    "a task of the job can no longer be reached; look at its own output, and export again when the job trains again",
)
_CANCELLED = (ExportError, "the session was closed or the call was cancelled; export again")
_MEMORY = (ExportError, "a task has no memory left; free some on it, or spread the variables over more tasks")
_STATE = (
    ExportError,
    "a variable is not initialized, or the session is not ready; first run the initializers, or restore",
)
_MISFIT = (
    ExportError,
    "the graph and the running job do not fit each other; build the same graph on every task",
)
_FILES = (TargetError, "TensorFlow could not read or write a file; look at the path in its message")
_BROKEN = (JobError, "TensorFlow failed; look at its message")

# How a message of TensorFlow names a task that does not answer, and how one of our gated session names a lost task.
_UNREACHABLE = re.compile(r"remote target /job:(\w+)/replica:\d+/task:(\d+)|^(\w+):(\d+) is lost")
_UNINITIALIZED = re.compile(r"(?:Could not find variable|Attempting to use uninitialized value) (\S+?)\.?\s")
_WHERE_MADE = re.compile(r"\A.*^Node: [^\n]*\n", re.DOTALL | re.MULTILINE)

TENSORFLOW: dict[str, _Translation] = {
    "AbortedError": _GONE,
    "AlreadyExistsError": _FILES,
    "CancelledError": _CANCELLED,
    "DataLossError": _FILES,
    "DeadlineExceededError": _GONE,
    "FailedPreconditionError": _STATE,
    "InternalError": _BROKEN,
    "InvalidArgumentError": _MISFIT,
    "NotFoundError": _MISFIT,
    "OutOfRangeError": _MISFIT,
    "PermissionDeniedError": _FILES,
    "ResourceExhaustedError": _MEMORY,
    "UnauthenticatedError": _FILES,
    "UnavailableError": _GONE,
    "UnimplementedError": _MISFIT,
    "UnknownError": _BROKEN,
}

OPERATING_SYSTEM: dict[int, _Translation] = {
    errno.EACCES: (
        TargetUnwritableError,
        "permission denied; change the permissions or choose another directory",
    ),
    errno.EPERM: (
        TargetUnwritableError,
        "permission denied; change the permissions or choose another directory",
    ),
    errno.EROFS: (TargetUnwritableError, "the file system is read-only; choose another directory"),
    errno.ENOSPC: (TargetUnwritableError, "no space is left; free some or choose another directory"),
    errno.EDQUOT: (
        TargetUnwritableError,
        "the disk quota is used up; free some space or choose another directory",
    ),
    errno.EFBIG: (
        TargetUnwritableError,
        "the file system does not allow files of this size; choose another directory",
    ),
    errno.ENOENT: (
        TargetUnwritableError,
        "there is no such file or directory; make the directory, or choose another one",
    ),
    errno.EISDIR: (TargetUnwritableError, "a directory is in the way of a file; choose another name"),
    errno.ENOTDIR: (TargetUnwritableError, "a file is in the way of a directory; choose another directory"),
    errno.EBUSY: (
        TargetUnwritableError,
        "it is in use, perhaps because a file system is mounted there; choose another directory",
    ),
    errno.EXDEV: (
        TargetUnwritableError,
        "it is on another file system, or this one cannot rename directories; choose another directory",
    ),
    errno.ENAMETOOLONG: (
        TargetUnwritableError,
        "the name is too long for the file system; choose a shorter one",
    ),
    errno.EEXIST: (
        TargetExistsError,
        "it exists already and is never overwritten; choose another directory",
    ),
    errno.ENOTEMPTY: (
        TargetExistsError,
        "it exists already and is never overwritten; choose another directory",
    ),
}


# What the libraries of object stores raise when they find no credentials.
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "ProfileNotFound"}
_REFUSED = {401, 403}  # status of HTTP, which gcsfs gives its errors
_STORES = {"aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google"}

# The same libraries also raise subclasses of OSError, without an errno.
_UNNUMBERED: dict[type[OSError], _Translation] = {
    FileExistsError: OPERATING_SYSTEM[errno.EEXIST],
    PermissionError: (
        TargetUnwritableError,
        "permission denied by the object store; check the credentials, and what they are allowed to do there",
    ),
}


def translate(error: BaseException) -> AutodistSavedError | None:
    """Translate a foreign error.

    Returns:
        an error of this package with the foreign message in parentheses, and with task, variable or path where the
        foreign error names one. An error of this package is returned as it is. None for any other exception, which
        is a mistake in a program.
    """
    if isinstance(error, AutodistSavedError):
        return error
    classes = [(kind.__module__.split(".")[0], kind.__name__) for kind in type(error).__mro__]
    if ("tensorflow", "OpError") in classes:
        make, what = next(
            (TENSORFLOW[name] for module, name in classes if module == "tensorflow" and name in TENSORFLOW),
            _BROKEN,
        )
        text = str(getattr(error, "message", ""))
        unreachable = ", ".join(dict.fromkeys(":".join(filter(None, found)) for found in _UNREACHABLE.findall(text)))
        variable = ", ".join(dict.fromkeys(_UNINITIALIZED.findall(text)))
        said = f"{what} ({type(error).__name__}: {first_line(text)})"
        return make(said, task=unreachable or None, variable=variable or None)
    if ("grpc", "RpcError") in classes:
        return JobError(f"the control service failed ({error}); see the chief's own output")
    if isinstance(error, OSError):
        make, what = OPERATING_SYSTEM.get(error.errno or 0) or next(
            (known for kind, known in _UNNUMBERED.items() if error.errno is None and isinstance(error, kind)),
            (TargetError, "the operating system or the object store refused the call; look at its message"),
        )
        path = error.filename2 or error.filename
        return make(f"{what} ({error.strerror or error})", path=None if path is None else str(path))
    return _of_store(error, classes)


def _of_store(error: BaseException, classes: list[tuple[str, str]]) -> AutodistSavedError | None:
    """Translate an error that the library of an object store has defined itself."""
    if not any(module in _STORES for module, _ in classes):
        return None
    said = f"({type(error).__name__}: {first_line(str(error))})"
    if getattr(error, "code", None) in _REFUSED:
        make, what = _UNNUMBERED[PermissionError]
        return make(f"{what} {said}")
    if any(name in _NO_CREDENTIALS for _, name in classes):
        return TargetUnwritableError(
            f"there are no credentials for the object store; put them where its own tools look for them {said}"
        )
    return TargetError(f"the object store cannot be reached; check the network and the store's endpoint {said}")


@contextmanager
def translated(phase: str) -> Iterator[None]:
    """Translate foreign errors that the block raises. Every error of ours gets the phase, unless it has one."""
    try:
        yield
    except Exception as error:
        ours = translate(error)
        if ours is None:
            raise
        if ours.phase is None:
            ours.phase = phase
        if ours is error:
            raise
        raise ours from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Translate errors that the block raises while it reads a file of a model. The new error names the file.

    Raises:
        ModelError: the file does not exist, or is a directory.
        UnreadableError: the file could not be read for another reason, so nothing is known about it.
    """
    try:
        yield
    except ABSENT as error:
        raise ModelError(
            f"{path}: it cannot be read ({error.strerror or error}); copy the model again", path=str(path)
        ) from error
    except Exception as error:
        ours = translate(error)
        if ours is None or ours is error:
            raise
        what = ours.message
        if isinstance(error, OSError) and error.errno is not None:
            what = f"it cannot be read ({error.strerror}); check its permissions and its disk"
        raise UnreadableError(f"{path}: {what}", path=str(path)) from error


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Translate errors of an object store that the block raises into a :class:`TargetError` that names the object."""
    try:
        yield
    except FileNotFoundError as error:
        raise TargetError(
            f"{path}: there is no such bucket or object ({error}); make the bucket, or correct its name",
            path=str(path),
        ) from error
    except Exception as error:
        ours = translate(error)
        if ours is None or ours is error:
            raise
        ours.path = str(path)
        raise ours from error


def first_line(text: str) -> str:
    """The line of TensorFlow's message that says what is wrong, at most 300 characters.

    TensorFlow puts headings before it, and the lines of the program that made the failing node.
    """
    text = _WHERE_MADE.sub("", text)
    lines = [line for line in text.splitlines() if line.strip("= ") and not line.rstrip().endswith(":")]
    return lines[0][:300] if lines else "no message"
