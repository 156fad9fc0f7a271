"""A data file of a bundle, while it is written."""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from autodist_saved.bundle.files import allocate, write_all

if TYPE_CHECKING:
    import numpy.typing as npt


class DataFile(ABC):
    """A data file whose bytes do not appear under its final name before :meth:`finish`.

    Attributes:
        path: where the bytes are now: a temporary name, for messages and for processes that write there themselves.
        nbytes: number of bytes that have been assigned to tensors, from the beginning of the file.
        lock: protects the records of ranges that several threads have written.
    """

    path: Path

    def __init__(self) -> None:
        self.nbytes = 0
        self.lock = threading.Lock()

    @abstractmethod
    def write(self, data: npt.NDArray[Any], offset: int) -> None:
        """Write the bytes of a contiguous array at ``offset``, in bytes. Raises ``OSError``."""

    @abstractmethod
    def extend(self) -> None:
        """Give the file the size of all bytes that have been assigned to tensors. Raises ``OSError``."""

    @abstractmethod
    def finish(self) -> None:
        """The file is complete. A file on a disk gets its final name. Raises ``OSError``."""

    @abstractmethod
    def discard(self) -> None:
        """Close the file, and remove it if it is on a disk and not finished. Raises nothing; may be called again."""


OpenDataFile = Callable[[Path], DataFile]
"""Makes the data file whose final name is the path. Raises ``OSError``."""


class DataFiles(Protocol):
    """Makes data files that do not lie beside the index, such as uploads to an object store."""

    @property
    def directory(self) -> Path:
        """The directory of all data files."""

    def open(self, path: Path, nbytes: int) -> DataFile:
        """Begin the data file with the name of ``path`` and about ``nbytes`` bytes. Raises ``OSError``."""


class DiskFile(DataFile):
    """A file on a disk. It takes bytes in any order, under a temporary name in the same directory."""

    def __init__(self, place: Path) -> None:
        """Create the file under a temporary name. Raises ``OSError``.

        Args:
            place: its final path.
        """
        super().__init__()
        self._place = place
        self.path = place.with_name(f"{place.name}.tmp-{uuid.uuid4().hex}")
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        self._is_open = True

    def write(self, data: npt.NDArray[Any], offset: int) -> None:
        write_all(self._descriptor, data, offset)

    def extend(self) -> None:
        allocate(self._descriptor, self.nbytes)

    def finish(self) -> None:
        self.path.replace(self._place)

    def discard(self) -> None:
        if self._is_open:
            os.close(self._descriptor)
            self._is_open = False
        with contextlib.suppress(OSError):
            self.path.unlink()
