"""The memory that a parameter server copies variables into: touched before it is needed, and kept warm if asked."""

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

# Of what is free. The job goes on and needs some itself.
_SHARE = 0.8


class StagingMemory:
    """One for each parameter server. Any thread may call.

    Copying into memory that was never touched takes five to ten times as long, nearly all of it page faults. Huge
    pages need fewer of these, and all of them are taken before the job is stopped for the copy.
    """

    def __init__(self, measure: Callable[[], int] = free_bytes) -> None:
        """``measure`` tells how many bytes this process may still take."""
        self._measure = measure
        self._kept: list[Bytes] = []
        self._lock = threading.Lock()

    @property
    def kept_bytes(self) -> int:
        """Bytes that are kept warm and not in use."""
        with self._lock:
            return sum(buffer.nbytes for buffer in self._kept)

    def fits(self, nbytes: int) -> bool:
        """Whether so many bytes can be taken without harm; what is kept warm counts as free."""
        return nbytes <= _SHARE * self._measure() + self.kept_bytes

    def take(self, nbytes: int) -> Bytes:
        """A buffer of that size or more, touched. Raises ``OSError`` where the system refuses it."""
        with self._lock:
            if fitting := [buffer for buffer in self._kept if buffer.nbytes >= nbytes]:
                smallest = min(fitting, key=lambda buffer: buffer.nbytes)
                self._kept = [buffer for buffer in self._kept if buffer is not smallest]
                return smallest
            self._kept = []  # of no use to whoever needs more, and in the way
        return _touched(nbytes)

    def give_back(self, buffer: Bytes, *, keep: bool) -> None:
        """Take a buffer back: to keep it warm, or else it is freed as soon as its last user has dropped it."""
        if keep:
            with self._lock:
                self._kept.append(buffer)


def _touched(nbytes: int) -> Bytes:
    mapping: Any = mmap.mmap(-1, max(1, nbytes), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            mapping.madvise(mmap.MADV_HUGEPAGE)
    buffer = np.frombuffer(mapping, np.uint8)
    buffer[:: mmap.PAGESIZE] = 0
    return buffer
