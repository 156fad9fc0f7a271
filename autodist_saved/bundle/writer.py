"""Writing a bundle in a stream: tensor after tensor, piece after piece, in memory that does not grow."""

from __future__ import annotations

import contextlib
import math
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from autodist_saved.bundle import crc32c
from autodist_saved.bundle.damage import reporting_unwritable
from autodist_saved.bundle.dtypes import item_bytes
from autodist_saved.bundle.entry import Entry, Part, Shape, is_storable
from autodist_saved.bundle.files import data_path, index_path
from autodist_saved.bundle.index import encode_name, write_index
from autodist_saved.bundle.slices import KEY_START
from autodist_saved.bundle.strings import encode_lengths
from autodist_saved.errors import BundleError

Bytes = bytes | bytearray | memoryview | NDArray[Any] | np.generic

_BUFFER_BYTES = 2**20
_STRINGS_AT_ONCE = 1024  # one by one they would take ten times as long


class BundleWriter:
    """Writes one data file and the index of what is in it.

    Use it as a context manager. Both files grow under temporary names. When the block ends well, they are
    flushed to the disk and renamed, the index last: where there is an index, the bundle is complete. When the
    block ends by an exception, nothing of it stays behind, and a bundle that was there before is untouched.

    One tensor is open at a time. A writer belongs to one thread.
    """

    def __init__(self, prefix: str | os.PathLike[str], data_file: int = 0, data_files: int = 1) -> None:
        """Prepare to write; nothing is touched yet.

        Args:
            prefix: path of the bundle without ``.index``, such as ``.../variables/variables``. Its directory
                exists.
            data_file: number of the data file to write, counted from 0.
            data_files: how many data files the bundle has; it stands in their names.

        Raises:
            BundleError: there is no such data file.
        """
        self.prefix = os.fspath(prefix)
        if not 0 <= data_file < data_files:
            raise BundleError(
                f"there is no data file {data_file} among {data_files}; they count from 0", path=self.prefix
            )
        self._data_file = data_file
        self._data_files = data_files
        self._data_path = data_path(self.prefix, data_file, data_files)
        self._index_path = index_path(self.prefix)
        self._suffix = f".tmp-{uuid.uuid4().hex}"
        self._file: BinaryIO | None = None
        self._entries: dict[str, Entry] = {}
        self._open_entry: EntryWriter | None = None
        self._offset = 0

    def __enter__(self) -> Self:
        """Create the data file.

        Raises:
            TargetUnwritableError: it cannot be created.
        """
        with reporting_unwritable(self._data_path):
            self._file = self._temporary(self._data_path).open("xb", buffering=_BUFFER_BYTES)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make the bundle visible or, after an exception, take away what there is of it.

        Raises:
            BundleError: a tensor was begun and not finished.
            TargetUnwritableError: the files cannot be written.
        """
        try:
            if error is None:
                self._commit()
        finally:
            self._discard()

    def begin(self, name: str, dtype: str, shape: Sequence[int]) -> EntryWriter:
        """Start a tensor, whose elements are then appended in row-major order.

        Args:
            name: its key: not empty, not used before, not beginning with NUL.
            dtype: name of a type of fixed size, such as ``float32``; strings go to :meth:`add_strings`.
            shape: its full shape.

        Raises:
            BundleError: the tensor cannot be stored so, or the one before is not finished.
        """
        item = item_bytes(dtype)
        if item is None:
            raise BundleError(
                f"{name!r} has dtype {dtype}, whose elements have no fixed size; "
                "give strings to add_strings() and leave other such tensors out",
                variable=name,
            )
        whole = tuple(map(int, shape))  # NumPy's integers would overflow in a product
        return self._begin(name, dtype, whole, math.prod(whole) * item)

    def add_strings(self, name: str, shape: Sequence[int], values: Sequence[bytes]) -> None:
        """Write a tensor of strings, given in row-major order.

        Raises:
            BundleError: their number is not the shape's, or the tensor cannot be stored so.
            TargetUnwritableError: the data file cannot be written.
        """
        if len(values) != math.prod(shape):
            raise BundleError(
                f"{name!r} has shape {list(shape)} and so {math.prod(shape)} strings, not {len(values)}; "
                "give one for each element",
                variable=name,
            )
        head, crc = encode_lengths(values)
        entry = self._begin(name, "string", tuple(map(int, shape)), len(head) + sum(map(len, values)))
        entry.append(head)
        entry.crc32c = crc  # of strings it is not of the bytes as they are stored: see docs/format.md
        for start in range(0, len(values), _STRINGS_AT_ONCE):
            entry.append(b"".join(values[start : start + _STRINGS_AT_ONCE]))
        entry.finish()

    def _begin(self, name: str, dtype: str, shape: Shape, nbytes: int) -> EntryWriter:
        self._data()
        problem = None
        if self._open_entry is not None:
            problem = f"cannot begin before {self._open_entry.name!r} is finished; call its finish() first"
        elif name in self._entries:
            problem = "is in the bundle already; give each tensor a name of its own"
        elif encode_name(name)[:1] in (b"", KEY_START):
            problem = "is empty or begins with NUL, which no tensor's name can; rename it"
        elif not is_storable(dtype, shape):
            problem = f"has the shape {list(shape)}, which no tensor can have; give the extent of every dimension"
        if problem is not None:
            raise BundleError(f"{name!r} {problem}", variable=name, path=self.prefix)
        self._open_entry = EntryWriter(name, dtype, shape, nbytes, self._write, self._finished)
        return self._open_entry

    def _data(self) -> BinaryIO:
        if self._file is None or self._file.closed:
            raise BundleError(
                "a bundle is written inside the 'with' block of its writer only; move the call into it",
                path=self.prefix,
            )
        return self._file

    def _write(self, data: NDArray[np.uint8]) -> None:
        with reporting_unwritable(self._data_path):
            self._data().write(data.data)

    def _finished(self, entry: EntryWriter) -> None:
        start = (0,) * len(entry.shape)
        whole = Part(start, entry.shape, self._data_file, self._offset, entry.nbytes, entry.crc32c)
        self._entries[entry.name] = Entry(entry.name, entry.dtype, entry.shape, (whole,))
        self._offset += entry.nbytes
        self._open_entry = None

    def _temporary(self, path: Path) -> Path:
        return path.with_name(path.name + self._suffix)

    def _commit(self) -> None:
        if self._open_entry is not None:
            name = self._open_entry.name
            raise BundleError(f"{name!r} is not finished; call its finish() inside the 'with' block", variable=name)
        with reporting_unwritable(self._data_path):
            _sync(self._data())
        with reporting_unwritable(self._index_path):
            with self._temporary(self._index_path).open("xb") as file:
                write_index(file, self._data_files, self._entries.values())
                _sync(file)
            # An index never stands beside another bundle's data, not even for a moment.
            self._index_path.unlink(missing_ok=True)
            for path in (self._data_path, self._index_path):
                self._temporary(path).replace(path)

    def _discard(self) -> None:
        """Close the data file and remove what still has a temporary name."""
        with contextlib.suppress(OSError):  # closing flushes, and a full disk has been reported by now
            self._data().close()
        for path in (self._data_path, self._index_path):
            with contextlib.suppress(OSError):
                self._temporary(path).unlink()


class EntryWriter:
    """One tensor in the making; made by :meth:`BundleWriter.begin`."""

    def __init__(
        self,
        name: str,
        dtype: str,
        shape: Shape,
        nbytes: int,
        write: Callable[[NDArray[np.uint8]], None],
        finished: Callable[[EntryWriter], None],
    ) -> None:
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.nbytes = nbytes
        self.crc32c = 0
        self._write = write
        self._finished = finished
        self._written = 0

    def append(self, buffer: Bytes) -> None:
        """Write the next bytes of the tensor, any number of them, little-endian and row-major.

        Args:
            buffer: contiguous bytes, or a C-contiguous NumPy array or scalar of any type and shape.

        Raises:
            BundleError: more bytes than the tensor has, or a buffer that is not contiguous.
            TargetUnwritableError: the data file cannot be written.
        """
        data = _flat(self.name, buffer)
        if self._written + data.nbytes > self.nbytes:
            raise BundleError(
                f"{self.name!r} has {self.nbytes} bytes, and {self._written + data.nbytes} were appended; "
                "check the dtype and shape it was begun with",
                variable=self.name,
            )
        self._write(data)
        self.crc32c = crc32c.extend(self.crc32c, data)
        self._written += data.nbytes

    def finish(self) -> None:
        """End the tensor, so that the next one can begin. Called once.

        Raises:
            BundleError: bytes are missing.
        """
        if self._written != self.nbytes:
            raise BundleError(
                f"{self.name!r} has {self.nbytes} bytes, and only {self._written} were appended; "
                "append all of it before finish()",
                variable=self.name,
            )
        self._finished(self)


def _flat(name: str, buffer: Bytes) -> NDArray[np.uint8]:
    """The bytes of ``buffer``, without a copy."""
    if isinstance(buffer, np.ndarray | np.generic):
        buffer = np.asarray(buffer)
        if not buffer.flags.c_contiguous or buffer.dtype.hasobject or not buffer.dtype.isnative:
            raise BundleError(
                f"{name!r} was given an array that does not lie in memory as it is stored; "
                "pass numpy.ascontiguousarray(...) of a native numeric type",
                variable=name,
            )
        return buffer.reshape(-1).view(np.uint8)
    view = memoryview(buffer)
    if not view.c_contiguous:
        raise BundleError(f"{name!r} was given a buffer with gaps; pass contiguous bytes", variable=name)
    return np.frombuffer(view, np.uint8) if view.nbytes else np.empty(0, np.uint8)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
