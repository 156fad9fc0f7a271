"""The files of a bundle: their names, and how bytes are put into one."""

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
    """The file that lists the tensors."""
    return _beside(prefix, ".index")


def data_path(prefix: str | Path, data_file: int, data_files: int) -> Path:
    """The file that holds bytes of tensors, number ``data_file`` of ``data_files``, counted from 0."""
    return _beside(prefix, f".data-{data_file:05d}-of-{data_files:05d}")


def _beside(prefix: str | Path, ending: str) -> Path:
    return path_of(prefix + ending) if isinstance(prefix, str) else prefix.with_name(prefix.name + ending)


def allocate(descriptor: int, nbytes: int) -> None:
    """Give an open file its size, and room on the disk where the file system can say so beforehand.

    Writing gigabytes into room that is there takes half the time. The C library's ``posix_fallocate`` would write to
    every block where the file system cannot, so it is not called.

    Raises:
        OSError: there is no room, or the size is not possible.
    """
    fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if nbytes and fallocate is not None and fallocate(descriptor, 0, ctypes.c_int64(0), ctypes.c_int64(nbytes)):
        number = ctypes.get_errno()
        if number not in {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINTR}:
            raise OSError(number, os.strerror(number))
    os.truncate(descriptor, nbytes)


def write_all(descriptor: int, data: npt.NDArray[Any], offset: int) -> None:
    """Put bytes into an open file. Raises ``OSError``."""
    while data.nbytes:
        written = os.pwrite(descriptor, data.data, offset)
        data, offset = data[written:], offset + written
