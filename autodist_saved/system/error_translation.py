"""Errors of TensorFlow, gRPC and the operating system, put into this package's terms. The one place for it.

Classes are told by name, so that nothing is imported that is not there already.
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
from autodist_saved.system.paths import ABSENT

_Translation = tuple[Callable[..., AutodistSavedError], str]

_GONE = (
    TaskUnreachableError,
    "a task of the job cannot be reached any more; see its own output, and export again once the job goes on",
)
_CANCELLED = (ExportError, "the session was closed or the call was cancelled meanwhile; export again")
_MEMORY = (ExportError, "a task has no memory left; free some on it, or spread the variables over more tasks")
_STATE = (
    ExportError,
    "a variable is not initialized, or the session is not ready; run the initializers (or restore) before",
)
_MISFIT = (
    ExportError,
    "the graph and the running job do not fit each other; build the same graph on every task",
)
_FILES = (TargetError, "TensorFlow could not read or write a file; look at the path in the message below")
_BROKEN = (JobError, "the runtime failed; the message below is its own")

# How TensorFlow names a task that it has called in vain, and how a session of ours does that has lost one.
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
        "the file system allows no file of this size; choose another directory",
    ),
    errno.ENOENT: (
        TargetUnwritableError,
        "there is no such file or directory; make the directory, or choose another one",
    ),
    errno.EISDIR: (TargetUnwritableError, "a directory is in the way of a file; choose another name"),
    errno.ENOTDIR: (TargetUnwritableError, "a file is in the way of a directory; choose another directory"),
    errno.EBUSY: (
        TargetUnwritableError,
        "it is in use, perhaps as a place where a file system is mounted; choose another directory",
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
        "it is there already and is never overwritten; choose another directory",
    ),
    errno.ENOTEMPTY: (
        TargetExistsError,
        "it is there already and is never overwritten; choose another directory",
    ),
}


# How the libraries of object stores say that they have nothing to identify themselves with.
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "ProfileNotFound"}
_STORES = {"aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google"}

# Where such a library raises errors of the operating system it gives them no number.
_UNNUMBERED: dict[type[OSError], _Translation] = {
    FileExistsError: OPERATING_SYSTEM[errno.EEXIST],
    PermissionError: (
        TargetUnwritableError,
        "permission denied by the object store; look at the credentials, and at what they may do there",
    ),
}


def translate(error: BaseException) -> AutodistSavedError | None:
    """The error in this package's terms; None for what is no error of TensorFlow, gRPC or the operating system."""
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
            (TargetError, "the operating system, or the object store, refused it; look at what it says"),
        )
        path = error.filename2 or error.filename
        return make(f"{what} ({error.strerror or error})", path=None if path is None else str(path))
    return _of_store(error, classes)


def _of_store(error: BaseException, classes: list[tuple[str, str]]) -> AutodistSavedError | None:
    """What the library of an object store says in terms of its own."""
    if not any(module in _STORES for module, _ in classes):
        return None
    said = f"({type(error).__name__}: {first_line(str(error))})"
    if any(name in _NO_CREDENTIALS for _, name in classes):
        return TargetUnwritableError(
            f"there are no credentials for the object store; put them where its own tools look for them {said}"
        )
    return TargetError(f"the object store cannot be reached; look at the network and its endpoint {said}")


@contextmanager
def translated(phase: str) -> Iterator[None]:
    """Raise foreign errors of the block as ours, with the phase noted; our own get the phase if they have none."""
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
    """Raise what is said while a file of a model is read as an error that names it.

    A :class:`ModelError` where it is not there, or is no file; an :class:`UnreadableError` for anything else.
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
    """Raise what an object store says, or its library, as a :class:`TargetError` that names the object."""
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
    """The first line of what TensorFlow says that is more than a heading, or where in the program a node was made."""
    text = _WHERE_MADE.sub("", text)
    lines = [line for line in text.splitlines() if line.strip("= ") and not line.rstrip().endswith(":")]
    return lines[0][:300] if lines else "no message"
