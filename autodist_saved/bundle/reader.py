"""Reads bundles of this package and of TensorFlow."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from autodist_saved.bundle import crc32c
from autodist_saved.bundle.damage import Damage, reporting
from autodist_saved.bundle.dtypes import item_bytes, numpy_dtype
from autodist_saved.bundle.entry import Entry, Part
from autodist_saved.bundle.files import data_path, index_path
from autodist_saved.bundle.index import read_index
from autodist_saved.bundle.strings import read_lengths
from autodist_saved.errors import BundleError
from autodist_saved.system.foreign_files import open_to_read, size_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHUNK_BYTES = 8 * 2**20


class BundleReader:
    """The tensors under a prefix, as ``tf.train.load_checkpoint`` reads them, without TensorFlow.

    Opening reads and checks the whole index. It also checks that every data file exists and is long enough. The
    methods read the bytes of tensors. No number in a file makes the reader allocate more memory than the files have
    bytes. The reader is thread-safe: it keeps no file open and never changes.
    """

    def __init__(
        self, prefix: str | os.PathLike[str], data_prefix: Path | None = None, root: Path | None = None
    ) -> None:
        """Open a bundle.

        Args:
            prefix: path or URL of the index, without ``.index``.
            data_prefix: the same for the data files, if they are in another place.
            root: the directory in which all files must be, also those to which links lead. None if they may lead
                anywhere, because a person has named the prefix.

        Raises:
            BundleError: the bundle is missing, damaged or truncated, or is not a tensor bundle.
            UnreadableError: the bundle cannot be read.
        """
        self.prefix = os.fspath(prefix)
        self._data_prefix = data_prefix or self.prefix
        self._root = root
        path = index_path(self.prefix)
        with reporting(path):
            self._data_files, self._entries = read_index(path, root)
        self._check_data_files()

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All tensors by name, ordered by name."""
        return MappingProxyType(self._entries)

    def read(self, name: str) -> NDArray[Any]:
        """Read a whole tensor and compare its checksum.

        Returns:
            an array with the tensor's shape and with the dtype of ``numpy_dtype``: for strings, ``object`` with
            elements of type ``bytes``.

        Raises:
            BundleError: there is no such tensor, or its bytes are damaged.
            UnreadableError: its data file cannot be read.
        """
        entry = self._entry(name)
        return self._assemble(entry, 0, entry.shape[0] if entry.shape else 1, check=True)

    def read_rows(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Read rows ``start`` to ``stop`` of a tensor, along its first dimension. A scalar is one row.

        This reads the bytes of these rows only, and so compares no checksum: a checksum in a bundle covers a whole
        tensor. :meth:`verify` compares checksums. Tensors of strings are read and checked as a whole.

        Returns:
            an array of shape ``(stop - start, *shape[1:])``; for a scalar, of shape ``()``.

        Raises:
            BundleError: there is no such tensor, it has no such rows, or the data file is too short.
            UnreadableError: its data file cannot be read.
        """
        entry = self._entry(name)
        rows = entry.shape[0] if entry.shape else 1
        if not 0 <= start <= stop <= rows or (start == stop and not entry.shape):
            raise BundleError(
                f"{name!r} has {rows} rows and no rows {start} to {stop}; ask for rows that it has",
                variable=name,
                path=self.prefix,
            )
        return self._assemble(entry, start, stop, check=False)

    def verify(self, name: str, chunk_bytes: int = _CHUNK_BYTES) -> None:
        """Compare the checksum of a tensor with its bytes.

        Args:
            name: of the tensor.
            chunk_bytes: how much of the tensor is in memory at one time. For strings, eight bytes for the length of
                each come on top.

        Raises:
            BundleError: there is no such tensor, or its bytes are damaged.
            UnreadableError: its data file cannot be read.
        """
        entry = self._entry(name)
        for part in entry.parts:
            with self._open(entry, part) as file:
                _verify(file, entry, part, chunk_bytes)

    def verify_all(self, chunk_bytes: int = _CHUNK_BYTES) -> None:
        """Compare the checksums of all tensors, in the order of their names. Raises as :meth:`verify` does."""
        for name in self._entries:
            self.verify(name, chunk_bytes)

    def damaged(self, chunk_bytes: int = _CHUNK_BYTES) -> Iterator[tuple[str, BundleError]]:
        """Compare the checksums of all tensors. Reads each data file once, from its beginning to its end.

        Yields:
            for each damaged part of a tensor, the tensor's name and the error.

        Raises:
            UnreadableError: a data file cannot be read.
        """
        places = sorted(
            (
                (part.data_file, part.offset, name, part)
                for name, entry in self._entries.items()
                for part in entry.parts
            ),
            key=lambda place: place[:3],
        )
        for data_file, of_file in itertools.groupby(places, key=lambda place: place[0]):
            path = self._data_path(data_file)
            with ExitStack() as opened:
                file: BufferedReader | None = None
                for _, offset, name, part in of_file:
                    try:
                        with reporting(path, name):
                            file = file or opened.enter_context(open_to_read(path, self._root))
                            file.seek(offset)
                            _verify(file, self._entries[name], part, chunk_bytes)
                    except BundleError as error:
                        yield name, error

    def _entry(self, name: str) -> Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise BundleError(
                f"there is no tensor {name!r} in the bundle; BundleReader.entries lists its tensors",
                variable=name,
                path=self.prefix,
            ) from None

    def _check_data_files(self) -> None:
        ends: dict[int, int] = {}
        for entry in self._entries.values():
            for part in entry.parts:
                ends[part.data_file] = max(ends.get(part.data_file, 0), part.offset + part.nbytes)
        for data_file, end in sorted(ends.items()):
            path = self._data_path(data_file)
            with reporting(path):
                nbytes = size_of(path, self._root)
                if nbytes < end:
                    raise Damage(f"it has {nbytes:,} bytes, but the index lists tensors up to its byte {end:,}")

    def _assemble(self, entry: Entry, start: int, stop: int, *, check: bool) -> NDArray[Any]:
        """Rows ``start`` to ``stop`` of the tensor, read from the parts that contain them."""
        import numpy as np

        shape = (stop - start, *entry.shape[1:]) if entry.shape else ()
        if not entry.is_sliced:
            return self._read_part(entry, entry.parts[0], start, stop, check=check).reshape(shape)
        result = np.empty(shape, object if entry.dtype == "string" else numpy_dtype(entry.dtype))
        for part in entry.parts:
            top = part.start[0]
            first, last = max(start, top), min(stop, top + part.shape[0])
            if first < last:
                block = self._read_part(entry, part, first - top, last - top, check=check)
                columns = (slice(s, s + n) for s, n in zip(part.start[1:], part.shape[1:], strict=True))
                result[(slice(first - start, last - start), *columns)] = block
        return result

    def _read_part(self, entry: Entry, part: Part, start: int, stop: int, *, check: bool) -> NDArray[Any]:
        """Rows ``start`` to ``stop`` of a part, counted from the first row of the part."""
        rows = part.shape[0] if part.shape else 1
        row_shape = part.shape[1:]
        with self._open(entry, part) as file:
            if entry.dtype == "string":
                return _read_strings(file, part, entry.name).reshape(rows, *row_shape)[start:stop]
            row_bytes = math.prod(row_shape) * (item_bytes(entry.dtype) or 0)
            file.seek(start * row_bytes, os.SEEK_CUR)
            data = _read_exactly(file, (stop - start) * row_bytes)
            if check:
                _compare(crc32c.extend(0, data), part, entry.name)
        return data.view(numpy_dtype(entry.dtype)).reshape(stop - start, *row_shape)

    @contextmanager
    def _open(self, entry: Entry, part: Part) -> Iterator[BufferedReader]:
        """Open the data file of a part at the part's first byte. Errors of the block become errors of ours."""
        path = self._data_path(part.data_file)
        with reporting(path, entry.name):
            _check_form(entry)
            with open_to_read(path, self._root) as file:
                file.seek(part.offset)
                yield file

    def _data_path(self, data_file: int) -> Path:
        return data_path(self._data_prefix, data_file, self._data_files)


def _check_form(entry: Entry) -> None:
    if entry.dtype == "variant":
        raise Damage(f"{entry.name!r} has the dtype variant", "read it with TensorFlow, which alone can decode it")


def _verify(file: BufferedReader, entry: Entry, part: Part, chunk_bytes: int) -> None:
    """Compare the checksum of a part. ``file`` must be at its first byte. Raises ``Damage``."""
    _check_form(entry)
    crc, left = 0, part.nbytes
    if entry.dtype == "string":
        lengths, crc = read_lengths(file, math.prod(part.shape), part.nbytes)
        left = sum(lengths)
    while left:
        chunk = _read_exactly(file, min(left, chunk_bytes))
        crc = crc32c.extend(crc, chunk)
        left -= chunk.nbytes
    _compare(crc, part, entry.name)


def _read_exactly(file: BufferedReader, nbytes: int) -> NDArray[np.uint8]:
    import numpy as np

    data = np.empty(nbytes, np.uint8)
    if file.readinto(data.data) != nbytes:
        raise Damage("it ends before the end of its last tensor")
    return data


def _read_strings(file: BufferedReader, part: Part, name: str) -> NDArray[Any]:
    import numpy as np

    lengths, crc = read_lengths(file, math.prod(part.shape), part.nbytes)
    values = np.empty(len(lengths), object)
    for position, length in enumerate(lengths):
        values[position] = value = file.read(length)
        crc = crc32c.extend(crc, value)
    _compare(crc, part, name)
    return values


def _compare(crc: int, part: Part, name: str) -> None:
    if crc != part.crc32c:
        raise Damage(f"the checksum of {name!r} does not match its bytes")
