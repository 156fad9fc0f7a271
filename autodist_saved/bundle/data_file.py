"""A data file of a bundle that is being written."""

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
    """Bytes that are not seen under the name of the file before it is wanted.

    Attributes:
        path: where the bytes are now, for messages and for those who write there themselves.
        nbytes: so many of it are given away.
        lock: for whoever takes note of what was written.
    """

    path: Path

    def __init__(self) -> None:
        self.nbytes = 0
        self.lock = threading.Lock()

    @abstractmethod
    def write(self, data: npt.NDArray[Any], offset: int) -> None:
        """Put bytes at a place. Raises ``OSError``."""

    @abstractmethod
    def extend(self) -> None:
        """Have all of it that is given away. Raises ``OSError``."""

    @abstractmethod
    def finish(self) -> None:
        """No more bytes come. One on a disk gets its name. Raises ``OSError``."""

    @abstractmethod
    def discard(self) -> None:
        """Let go of it, and take it away if it is on a disk and not finished. Raises nothing; may be called again."""


OpenDataFile = Callable[[Path], DataFile]
"""Makes the data file that is to be at a path. Raises ``OSError``."""


class DataFiles(Protocol):
    """Where data files go that are not to be beside the index."""

    @property
    def directory(self) -> Path:
        """Of all of them."""

    def open(self, path: Path, nbytes: int) -> DataFile:
        """Begin the one that has the name of ``path``, and about so many bytes. Raises ``OSError``."""


class DiskFile(DataFile):
    """Grows beside its place, in any order, and is renamed."""

    def __init__(self, place: Path) -> None:
        """Create it, under a temporary name. Raises ``OSError``."""
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
