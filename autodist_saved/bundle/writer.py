"""Writing a bundle in memory that does not grow: every tensor has its place, which is filled range by range."""

from __future__ import annotations

import contextlib
import math
import os
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from autodist_saved.bundle import crc32c
from autodist_saved.bundle.damage import reporting_unwritable
from autodist_saved.bundle.data_file import DataFile, DiskFile, OpenDataFile
from autodist_saved.bundle.dtypes import item_bytes
from autodist_saved.bundle.entry import Shape, is_storable
from autodist_saved.bundle.entry_writer import EntryWriter
from autodist_saved.bundle.files import data_path, index_path
from autodist_saved.bundle.index import encode_name, write_index
from autodist_saved.bundle.slices import KEY_START
from autodist_saved.bundle.strings import encode_lengths
from autodist_saved.errors import BundleError

_STRINGS_AT_ONCE = 1024  # one by one they would take ten times as long


class BundleWriter:
    """Writes the data files of a bundle and the index of what is in them.

    Use it as a context manager. All files grow under temporary names. When the block ends well, they are renamed, the
    index last: where there is an index, the bundle is complete. When the block ends by an exception, nothing of it
    stays behind, and a bundle that was there before is untouched. Nothing is flushed to the disk: whoever publishes
    the bundle does that.

    A writer belongs to one thread, but for :meth:`EntryWriter.written`.
    """

    def __init__(
        self, prefix: str | os.PathLike[str], data_files: int = 1, *, open_data_file: OpenDataFile = DiskFile
    ) -> None:
        """Prepare to write; nothing is touched yet.

        Args:
            prefix: path of the bundle without ``.index``, such as ``.../variables/variables``. Its directory
                exists.
            data_files: how many data files the bundle has. Several can be written at once faster than one.
            open_data_file: makes a data file; by default on the disk, beside the index. One that has to be written
                from its beginning to its end is, if tensors are begun and appended to one after the other.
        """
        self.prefix = os.fspath(prefix)
        self._data_paths = [data_path(self.prefix, number, data_files) for number in range(data_files)]
        self._index_path = index_path(self.prefix)
        self._new_index_path = self._index_path.with_name(f"{self._index_path.name}.tmp-{uuid.uuid4().hex}")
        self._open_data_file = open_data_file
        self._files: list[DataFile] = []
        self._entries: dict[str, EntryWriter] = {}

    def __enter__(self) -> Self:
        """Create the data files.

        Raises:
            TargetUnwritableError: they cannot be created.
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
        """Make the bundle visible or, after an exception, take away what there is of it.

        Raises:
            BundleError: a tensor was begun and not written to its end.
            TargetUnwritableError: the files cannot be written.
        """
        try:
            if error is None:
                self._commit()
        finally:
            self._discard()

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors so far."""
        return sum(file.nbytes for file in self._files)

    def begin(self, name: str, dtype: str, shape: Sequence[int], data_file: int = 0) -> EntryWriter:
        """Give a tensor its place. It is filled before the block ends.

        Args:
            name: its key: not empty, not used before, not beginning with NUL.
            dtype: name of a type of fixed size, such as ``float32``; strings go to :meth:`add_strings`.
            shape: its full shape.
            data_file: which of the data files holds it, counted from 0.

        Raises:
            BundleError: the tensor cannot be stored so.
        """
        item = item_bytes(dtype)
        if item is None:
            raise BundleError(
                f"{name!r} has dtype {dtype}, whose elements have no fixed size; "
                "give strings to add_strings() and leave other such tensors out",
                variable=name,
            )
        whole = tuple(map(int, shape))  # NumPy's integers would overflow in a product
        return self._begin(name, dtype, whole, math.prod(whole) * item, data_file)

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
        entry = self._begin(name, "string", tuple(map(int, shape)), len(head) + sum(map(len, values)), 0)
        entry.append(head)
        for start in range(0, len(values), _STRINGS_AT_ONCE):
            text = b"".join(values[start : start + _STRINGS_AT_ONCE])
            entry.append(text)
            crc = crc32c.extend(crc, text)
        entry.crc32c_of_strings = crc

    def extend_files(self) -> None:
        """Give the data files the size of all that has its place by now, before others write into them.

        Where two machines write to one file, neither should take what is not there yet for nothing but zeros. And
        a full disk is told before the first byte moves.

        Raises:
            TargetUnwritableError: a file cannot be extended, for instance because there is no room for it.
        """
        for file in self._files:
            with reporting_unwritable(file.path):
                file.extend()

    def _begin(self, name: str, dtype: str, shape: Shape, nbytes: int, data_file: int) -> EntryWriter:
        self._check_open()
        problem = None
        if name in self._entries:
            problem = "is in the bundle already; give each tensor a name of its own"
        elif encode_name(name)[:1] in (b"", KEY_START):
            problem = "is empty or begins with NUL, which no tensor's name can; rename it"
        elif not is_storable(dtype, shape):
            problem = f"has the shape {list(shape)}, which no tensor can have; give the extent of every dimension"
        elif not 0 <= data_file < len(self._files):
            problem = f"cannot be in data file {data_file} among {len(self._files)}; they count from 0"
        if problem is not None:
            raise BundleError(f"{name!r} {problem}", variable=name, path=self.prefix)
        entry = self._entries[name] = EntryWriter(name, dtype, shape, self._files[data_file], data_file, nbytes)
        return entry

    def _check_open(self) -> None:
        if not self._files:
            raise BundleError(
                "a bundle is written inside the 'with' block of its writer only; move the call into it",
                path=self.prefix,
            )

    def _commit(self) -> None:
        entries = [entry.finished() for entry in self._entries.values()]
        with reporting_unwritable(self._index_path):
            with self._new_index_path.open("xb") as file:
                write_index(file, len(self._data_paths), entries)
            # An index never stands beside another bundle's data, not even for a moment.
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
