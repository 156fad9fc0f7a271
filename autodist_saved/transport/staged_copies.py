"""What one export holds on a parameter server: copies of variables, or the variables themselves."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from autodist_saved.bundle.dtypes import item_bytes
from autodist_saved.system.memory import TaskMemory, resident_bytes
from autodist_saved.transport.server_variable import ServerVariable
from autodist_saved.transport.staging_memory import Bytes, StagingMemory

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

_THREADS_MAX = 4
# A thread copies as much as it can at a time: beyond the caches' size memory is copied without reading what is to be
# overwritten. Less than this is not worth a thread.
_PORTION_BYTES = 2**24


class Reader(Protocol):
    """Reads variables of this process. Made ready beforehand, so that reading takes no longer than it must."""

    @property
    def absent(self) -> frozenset[int]:
        """Positions of those variables that are not here, or have no value yet."""

    def read(self) -> dict[int, Array]:
        """All others by position, as arrays that share their memory; nobody else holds the arrays."""

    def close(self) -> None:
        """It is needed no more."""


Open = Callable[[Sequence[ServerVariable]], Reader]


class StageResult(NamedTuple):
    """How variables were staged.

    Attributes:
        parked: whether nothing was copied.
        shapes: by position, of those variables that have another shape than planned, or had none.
        memory: of the process, now that it has staged.
    """

    parked: bool
    shapes: dict[int, Shape]
    memory: TaskMemory


class StagedCopies:
    """Belongs to one export, and to the thread that serves it: :meth:`attach`, :meth:`stage`, :meth:`discard`."""

    def __init__(self, open_variables: Open, memory: StagingMemory) -> None:
        self._open = open_variables
        self._memory = memory
        self._variables: Sequence[ServerVariable] = ()
        self._staging = ""
        self._keep = False
        self._reader: Reader | None = None
        self._buffer: Bytes | None = None
        self._staged: Mapping[int, Bytes] = {}

    def attach(self, variables: Sequence[ServerVariable], staging: str, *, keep: bool) -> frozenset[int]:
        """Get ready to stage variables, as far as that can be done before the job is stopped.

        Args:
            variables: which; what lies side by side here is copied side by side.
            staging: ``memory``, ``parked`` or ``auto``, as in ``ExportOptions``.
            keep: keep the memory of the copies warm at the end.

        Returns:
            positions of those that are not here and are not staged.
        """
        self.discard()
        self._variables, self._staging, self._keep = variables, staging, keep
        self._reader = self._open(variables)
        here = [one for number, one in enumerate(variables) if number not in self._reader.absent]
        nbytes = sum(math.prod(one.shape) * (item_bytes(one.dtype) or 0) for one in here if one.shape is not None)
        if here and self._copies(nbytes):
            self._buffer = self._memory.take(nbytes)
        return self._reader.absent

    def stage(self) -> StageResult:
        """Copy the variables, or hold them as they are. When it returns, no copied variable is held any more."""
        if self._reader is None:
            raise ValueError("nothing is attached")
        arrays = self._reader.read()
        shapes = {number: array.shape for number, array in arrays.items()}
        nbytes = sum(array.nbytes for array in arrays.values())
        if self._buffer is not None and self._buffer.nbytes < nbytes:
            self._drop_buffer()
            if self._copies(nbytes):
                self._buffer = self._memory.take(nbytes)
        parts = {number: array.reshape(-1).view(np.uint8) for number, array in arrays.items()}
        self._staged = parts if self._buffer is None else _side_by_side(parts, self._buffer)
        return StageResult(
            bool(arrays) and self._buffer is None,
            {number: shape for number, shape in shapes.items() if shape != self._variables[number].shape},
            TaskMemory(resident_bytes(), staged=0 if self._buffer is None else nbytes),
        )

    def bytes_of(self, number: int, start: int, nbytes: int) -> Bytes:
        """A range of a staged variable. Raises ``ValueError`` and ``KeyError`` where there is none."""
        data = self._staged[number][start : start + nbytes]
        if data.nbytes != nbytes:
            raise ValueError(f"variable {number} has no {nbytes} bytes from {start} on")
        return data

    @property
    def parked(self) -> bool:
        """Whether what is staged are the variables themselves, for which the job stands still."""
        return self._buffer is None

    def discard(self) -> None:
        """Let go of everything. May be called at any time."""
        self._staged = {}
        self._drop_buffer()
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reader.close()

    def _copies(self, nbytes: int) -> bool:
        return self._staging == "memory" or (self._staging == "auto" and self._memory.fits(nbytes))

    def _drop_buffer(self) -> None:
        if self._buffer is not None:
            buffer, self._buffer = self._buffer, None
            self._memory.give_back(buffer, keep=self._keep)


def _side_by_side(parts: Mapping[int, Bytes], buffer: Bytes) -> dict[int, Bytes]:
    """Copy parts into a buffer, one after the other."""
    copies: dict[int, Bytes] = {}
    at = 0
    for number, part in parts.items():
        copies[number] = buffer[at : at + part.nbytes]
        at += part.nbytes
    pairs = ((copies[number], part) for number, part in parts.items())
    threads = min(_THREADS_MAX, len(os.sched_getaffinity(0)))
    portions = list(_portions(pairs, max(_PORTION_BYTES, -(-at // threads))))
    threads = min(threads, len(portions))
    if threads > 1:
        with ThreadPoolExecutor(threads, thread_name_prefix="stage") as pool:
            list(pool.map(_copy, portions))
    else:
        for portion in portions:
            _copy(portion)
    return copies


def _portions(pairs: Iterator[tuple[Bytes, Bytes]], portion_bytes: int) -> Iterator[list[tuple[Bytes, Bytes]]]:
    """Large parts cut, and small ones put together, into what one thread copies at a time."""
    portion: list[tuple[Bytes, Bytes]] = []
    left = portion_bytes
    for copy, part in pairs:
        start = 0
        while start < part.nbytes:
            stop = start + left
            portion.append((copy[start:stop], part[start:stop]))
            left -= portion[-1][0].nbytes
            start = stop
            if not left:
                yield portion
                portion, left = [], portion_bytes
    if portion:
        yield portion


def _copy(portion: list[tuple[Bytes, Bytes]]) -> None:
    for copy, part in portion:
        np.copyto(copy, part)  # without the interpreter's lock, where it is large
