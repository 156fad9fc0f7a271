"""The staged variables of one export on a parameter server: copies, or the variables themselves."""

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
# A portion for a thread is large: copying more than the caches hold does not read the memory that it overwrites. Less
# than this is not worth a thread.
_PORTION_BYTES = 2**24


class Reader(Protocol):
    """Reads variables of this process. It is prepared before the cut, so that :meth:`read` is fast."""

    @property
    def absent(self) -> frozenset[int]:
        """Positions of the variables that this process does not have, or that have no value yet."""

    def read(self) -> dict[int, Array]:
        """All other variables by position, as arrays that share the variables' memory.

        Only the returned dictionary refers to the arrays.
        """

    def close(self) -> None:
        """Release what the reader holds."""


OpenVariables = Callable[[Sequence[ServerVariable]], Reader]
"""Makes a reader of variables."""


class StageResult(NamedTuple):
    """How variables were staged.

    Attributes:
        parked: whether nothing was copied.
        shapes: by position, the shapes of variables whose planned shape was another one or None.
        memory: memory of the process after staging.
    """

    parked: bool
    shapes: dict[int, Shape]
    memory: TaskMemory


class StagedCopies:
    """The staged variables of one export. Only the thread that serves the export uses it.

    It calls :meth:`attach` before the cut, :meth:`stage` during the cut, and :meth:`discard` at the end.
    """

    def __init__(self, open_variables: OpenVariables, memory: StagingMemory) -> None:
        self._open = open_variables
        self._memory = memory
        self._variables: Sequence[ServerVariable] = ()
        self._staging = ""
        self._keep = False
        self._reader: Reader | None = None
        self._buffer: Bytes | None = None
        self._staged: Mapping[int, Bytes] = {}

    def attach(self, variables: Sequence[ServerVariable], staging: str, *, keep: bool) -> frozenset[int]:
        """Prepare to stage variables, as far as that is possible before the job is stopped.

        Args:
            variables: the variables. Neighbours in this list are neighbours in the copy.
            staging: ``memory``, ``parked`` or ``auto``, as in ``ExportOptions``.
            keep: keep the memory of the copies for the next export.

        Returns:
            positions of the variables that are not on this parameter server, and so will not be staged.
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
        """Copy the variables, or hold the variables themselves.

        If they were copied, nothing refers to the variables any more when this returns. So TensorFlow does not have
        to copy a variable before its next update.

        Raises:
            ValueError: nothing is attached.
        """
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
        """``nbytes`` bytes of a staged variable, from byte ``start``.

        Args:
            number: position of the variable in the list that was attached.
            start: first byte.
            nbytes: length.

        Raises:
            KeyError: the variable is not staged.
            ValueError: the variable has fewer bytes.
        """
        data = self._staged[number][start : start + nbytes]
        if data.nbytes != nbytes:
            raise ValueError(f"variable {number} has no {nbytes} bytes from {start} on")
        return data

    @property
    def parked(self) -> bool:
        """Whether the variables themselves are held and not copies, so that the job must stand still."""
        return self._buffer is None

    def discard(self) -> None:
        """Release everything that is staged or attached. May be called at any time."""
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
    """Copy parts into a buffer, so that they lie one after the other there."""
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
    """Divide the work into equal portions for threads: large parts are split, small parts are put together."""
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
        np.copyto(copy, part)  # NumPy releases the interpreter's lock for large arrays
