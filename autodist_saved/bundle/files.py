"""The files of a bundle: their names, and how bytes are written to one."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autodist_saved.system.paths import path_of

if TYPE_CHECKING:
    import numpy.typing as npt


def index_path(prefix: str | Path) -> Path:
    """Path of the index, the file that lists the tensors of the bundle at ``prefix``."""
    return _beside(prefix, ".index")


def data_path(prefix: str | Path, data_file: int, data_files: int) -> Path:
    """Path of data file number ``data_file`` of ``data_files``, counted from 0."""
    return _beside(prefix, f".data-{data_file:05d}-of-{data_files:05d}")


def _beside(prefix: str | Path, ending: str) -> Path:
    return path_of(prefix + ending) if isinstance(prefix, str) else prefix.with_name(prefix.name + ending)


def allocate(descriptor: int, nbytes: int) -> None:
    """Give an open file its size, and reserve its space on the disk if the file system can.

    Writing gigabytes into reserved space takes half the time. This calls Linux's ``fallocate``, and not
    ``os.posix_fallocate``, because the latter writes to every block if the file system cannot reserve space.

    Args:
        descriptor: of the open file.
        nbytes: the size, in bytes.

    Raises:
        OSError: the disk has no space left, or the file system does not allow files of this size.
    """
    fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if nbytes and fallocate is not None and fallocate(descriptor, 0, ctypes.c_int64(0), ctypes.c_int64(nbytes)):
        number = ctypes.get_errno()
        if number not in {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINTR}:
            raise OSError(number, os.strerror(number))
    os.truncate(descriptor, nbytes)


def write_all(descriptor: int, data: npt.NDArray[Any], offset: int) -> None:
    """Write all bytes of a flat byte array into an open file at ``offset``, in bytes. Raises ``OSError``."""
    while data.nbytes:
        written = os.pwrite(descriptor, data.data, offset)
        data, offset = data[written:], offset + written
