"""Writes a bundle in constant memory: each tensor gets its place in a data file, and is written range by range."""

from __future__ import annotations

import contextlib
import math
import os
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from autodist_saved.bundle import crc32c
from autodist_saved.bundle.damage import Damage, reporting_unwritable
from autodist_saved.bundle.data_file import DataFile, DiskFile, OpenDataFile
from autodist_saved.bundle.dtypes import item_bytes
from autodist_saved.bundle.entry import Entry, is_storable
from autodist_saved.bundle.entry_writer import EntryWriter
from autodist_saved.bundle.files import data_path, index_path
from autodist_saved.bundle.index import encode_name, write_index
from autodist_saved.bundle.slice_spec import Slice
from autodist_saved.bundle.slices import KEY_START, check_cover
from autodist_saved.bundle.strings import encode_lengths
from autodist_saved.errors import BundleError

_STRINGS_AT_ONCE = 1024  # writing one string at a time takes ten times as long


class BundleWriter:
    """Writes the data files and the index of a bundle.

    Use it as a context manager. All files grow under temporary names. When the block ends, they are renamed, the
    index last: a bundle that has an index is complete. If the block raises, all new files are removed, and a bundle
    that existed before stays as it was. The writer does not flush files to the disk; publishing does that.

    All methods must be called in one thread. Only :meth:`EntryWriter.written` may be called in any.
    """

    def __init__(
        self, prefix: str | os.PathLike[str], data_files: int = 1, *, open_data_file: OpenDataFile = DiskFile
    ) -> None:
        """Creates no files yet.

        Args:
            prefix: path of the bundle without ``.index``, such as ``.../variables/variables``. Its directory must
                exist.
            data_files: number of data files. Several writers write faster into several files than into one.
            open_data_file: makes a data file; by default on the disk, beside the index. The writer writes a data file
                from beginning to end if the caller begins each tensor after it has appended all bytes of the one
                before.
        """
        self.prefix = os.fspath(prefix)
        self._data_paths = [data_path(self.prefix, number, data_files) for number in range(data_files)]
        self._index_path = index_path(self.prefix)
        self._new_index_path = self._index_path.with_name(f"{self._index_path.name}.tmp-{uuid.uuid4().hex}")
        self._open_data_file = open_data_file
        self._files: list[DataFile] = []
        self._entries: dict[str, list[EntryWriter]] = {}

    def __enter__(self) -> Self:
        """Create the data files.

        Raises:
            TargetUnwritableError: a data file cannot be created.
        """
        try:
            for path in self._data_paths:
                with reporting_unwritable(path):
                    self._files.append(self._open_data_file(path))
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the index and rename all files; after an exception, remove them.

        Raises:
            BundleError: a tensor was begun and not written completely.
            TargetUnwritableError: the files cannot be written.
        """
        try:
            if error is None:
                self._commit()
        finally:
            self._discard()

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors that were begun so far."""
        return sum(file.nbytes for file in self._files)

    def begin(
        self, name: str, dtype: str, shape: Sequence[int], data_file: int = 0, *, of: Slice | None = None
    ) -> EntryWriter:
        """Reserve the place of a tensor, or of a slice. All its bytes must be written before the block ends.

        The slices of a tensor come one by one, in any order. When the block ends, they must cover it exactly.

        Args:
            name: key of the tensor. It must not be empty, begin with NUL, or be in the bundle already.
            dtype: name of an element type of fixed size, such as ``float32``. For strings use :meth:`add_strings`.
            shape: full shape of the tensor, or of the slice.
            data_file: number of the data file for the tensor, counted from 0.
            of: the slice, if this is one.

        Raises:
            BundleError: the bundle cannot store this tensor; or the call is outside the ``with`` block.
        """
        item = item_bytes(dtype)
        if item is None:
            raise BundleError(
                f"{name!r} has dtype {dtype}, whose elements have no fixed size; "
                "pass strings to add_strings(), and leave other such tensors out",
                variable=name,
            )
        part = _part(shape, of)
        return self._begin(name, dtype, part, math.prod(part.shape) * item, data_file)

    def add_strings(
        self, name: str, shape: Sequence[int], values: Sequence[bytes], *, of: Slice | None = None
    ) -> None:
        """Write a tensor of strings, or a slice of it, to the first data file.

        Args:
            name: key of the tensor, as for :meth:`begin`.
            shape: full shape of the tensor, or of the slice.
            values: its elements in row-major order.
            of: the slice, if this is one.

        Raises:
            BundleError: the shape needs another number of values, or the bundle cannot store this tensor.
            TargetUnwritableError: the data file cannot be written.
        """
        if len(values) != math.prod(shape):
            raise BundleError(
                f"{name!r} has shape {list(shape)}, which takes {math.prod(shape)} strings, not {len(values)}; "
                "pass one string for each element",
                variable=name,
            )
        head, crc = encode_lengths(values)
        entry = self._begin(name, "string", _part(shape, of), len(head) + sum(map(len, values)), 0)
        entry.append(head)
        for start in range(0, len(values), _STRINGS_AT_ONCE):
            text = b"".join(values[start : start + _STRINGS_AT_ONCE])
            entry.append(text)
            crc = crc32c.extend(crc, text)
        entry.crc32c_of_strings = crc

    def extend_files(self) -> None:
        """Give each data file the size of the tensors that were begun, before other processes write into it.

        If two machines write to one file, it must have its size first, so that neither of them takes bytes that it
        does not see yet for zeros. And an error about a full disk comes before any bytes are moved.

        Raises:
            TargetUnwritableError: a file cannot be extended, for instance because the disk is full.
        """
        for file in self._files:
            with reporting_unwritable(file.path):
                file.extend()

    def _begin(self, name: str, dtype: str, part: Slice, nbytes: int, data_file: int) -> EntryWriter:
        self._check_open()
        problem, shape, before = None, part.whole, self._entries.get(name, ())
        if before and (
            part.is_whole or before[0].part.is_whole or (before[0].dtype, before[0].part.whole) != (dtype, shape)
        ):
            problem = "is in the bundle already; give each tensor its own name"
        elif encode_name(name)[:1] in (b"", KEY_START):
            problem = "is empty or begins with NUL, which no tensor's name can; rename it"
        elif not is_storable(dtype, shape):
            problem = f"has the shape {list(shape)}, which no tensor can have; pass the extent of every dimension"
        elif not 0 <= data_file < len(self._files):
            problem = f"cannot be in data file {data_file} of {len(self._files)}; count them from 0"
        if problem is not None:
            raise BundleError(f"{name!r} {problem}", variable=name, path=self.prefix)
        entry = EntryWriter(name, dtype, part, self._files[data_file], data_file, nbytes)
        self._entries.setdefault(name, []).append(entry)
        return entry

    def _check_open(self) -> None:
        if not self._files:
            raise BundleError(
                "a bundle can be written only inside the 'with' block of its writer; move the call into the block",
                path=self.prefix,
            )

    def _commit(self) -> None:
        entries = [_finished(parts) for parts in self._entries.values()]
        with reporting_unwritable(self._index_path):
            with self._new_index_path.open("xb") as file:
                write_index(file, len(self._data_paths), entries)
            # Remove the old index first: at no moment may an index lie beside the data files of another bundle.
            self._index_path.unlink(missing_ok=True)
            for data_file in self._files:
                data_file.finish()
            self._new_index_path.replace(self._index_path)

    def _discard(self) -> None:
        """Close the data files and remove what still has a temporary name."""
        for file in self._files:
            file.discard()
        self._files = []
        with contextlib.suppress(OSError):
            self._new_index_path.unlink()


def _part(shape: Sequence[int], of: Slice | None) -> Slice:
    if of is not None:
        return of
    whole = tuple(map(int, shape))  # NumPy's integers would overflow in a product
    return Slice(whole, (0,) * len(whole), whole)


def _finished(writers: Sequence[EntryWriter]) -> Entry:
    """The entry of a tensor. Raises ``BundleError`` where bytes or slices are missing, or there twice."""
    name, dtype, shape = writers[0].name, writers[0].dtype, writers[0].part.whole
    parts = sorted((writer.finished() for writer in writers), key=lambda part: part.start)
    try:
        check_cover(name, shape, parts)
    except Damage as damage:
        raise BundleError(f"{damage}; write each element of it in exactly one slice", variable=name) from None
    return Entry(name, dtype, shape, tuple(parts))
