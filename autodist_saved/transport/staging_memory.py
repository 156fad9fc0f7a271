"""The memory into which a parameter server copies variables: touched before it is needed, and kept on request."""

from __future__ import annotations

import contextlib
import mmap
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from autodist_saved.system.memory import free_bytes

Bytes = npt.NDArray[np.uint8]

# The part of the free memory that copies may take. The job continues meanwhile and needs some memory itself.
_SHARE = 0.8


class StagingMemory:
    """The memory for copies. Each parameter server has one object; any thread may call it.

    Copying into memory that was never touched takes five to ten times as long, nearly all of it for page faults. Huge
    pages cause fewer page faults, and touching the memory before the cut moves all of them out of the time in which
    the job stands still.
    """

    def __init__(self, measure: Callable[[], int] = free_bytes) -> None:
        """``measure`` returns how many bytes this process may still allocate."""
        self._measure = measure
        self._kept: list[Bytes] = []
        self._lock = threading.Lock()

    @property
    def kept_bytes(self) -> int:
        """Bytes of kept memory that no export uses now."""
        with self._lock:
            return sum(buffer.nbytes for buffer in self._kept)

    def fits(self, nbytes: int) -> bool:
        """Whether :meth:`take` can take ``nbytes`` bytes and leave enough free memory. Kept memory counts as free."""
        return nbytes <= _SHARE * self._measure() + self.kept_bytes

    def take(self, nbytes: int) -> Bytes:
        """Take a touched buffer of at least ``nbytes`` bytes. Raises ``OSError`` if the system refuses it."""
        with self._lock:
            if fitting := [buffer for buffer in self._kept if buffer.nbytes >= nbytes]:
                smallest = min(fitting, key=lambda buffer: buffer.nbytes)
                self._kept = [buffer for buffer in self._kept if buffer is not smallest]
                return smallest
            self._kept = []  # too small for this export; free them before more memory is taken
        return _touched(nbytes)

    def give_back(self, buffer: Bytes, *, keep: bool) -> None:
        """Give a buffer back.

        Args:
            buffer: from :meth:`take`.
            keep: keep it for the next export. Otherwise it is freed when nothing refers to it any more.
        """
        if keep:
            with self._lock:
                self._kept.append(buffer)


def _touched(nbytes: int) -> Bytes:
    mapping: Any = mmap.mmap(-1, max(1, nbytes), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # the kernel has no huge pages
            mapping.madvise(mmap.MADV_HUGEPAGE)
    buffer = np.frombuffer(mapping, np.uint8)
    buffer[:: mmap.PAGESIZE] = 0
    return buffer
