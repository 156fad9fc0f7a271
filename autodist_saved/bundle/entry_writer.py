"""Writes one tensor, or one slice of a tensor, into its place in a data file.

This process writes ranges of it; or another process writes them into the data file, and reports their checksums.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from autodist_saved.bundle import crc32c
from autodist_saved.bundle.damage import reporting_unwritable
from autodist_saved.bundle.data_file import DataFile
from autodist_saved.bundle.entry import Part
from autodist_saved.bundle.slice_spec import Slice
from autodist_saved.errors import BundleError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = bytes | bytearray | memoryview | NDArray[Any] | np.generic


class EntryWriter:
    """Writes one tensor, or one slice of it, into its place in a data file. ``BundleWriter.begin`` makes it.

    Attributes:
        name, dtype: of the tensor.
        part: which part of the tensor it writes: all of it, or a slice.
        offset: where the part begins in the data file, in bytes.
        nbytes: size of the part in the data file, in bytes.
        crc32c_of_strings: for strings, the checksum to store, unmasked. It is not the checksum of the written bytes,
            see docs/format.md.
    """

    __slots__ = (
        "_crc32c",
        "_data_file",
        "_file",
        "_later",
        "_stop",
        "crc32c_of_strings",
        "dtype",
        "name",
        "nbytes",
        "offset",
        "part",
    )

    def __init__(self, name: str, dtype: str, part: Slice, file: DataFile, data_file: int, nbytes: int) -> None:
        """Reserve the next ``nbytes`` bytes of ``file``, which has the number ``data_file`` in the bundle."""
        self.name = name
        self.dtype = dtype
        self.part = part
        self.offset = file.nbytes
        self.nbytes = nbytes
        self.crc32c_of_strings: int | None = None
        self._file = file
        self._data_file = data_file
        self._stop = self._crc32c = 0  # end and checksum of the bytes that are written without a gap
        self._later: list[_Range] | None = None
        file.nbytes += nbytes

    @property
    def path(self) -> Path:
        """The data file, under its temporary name."""
        return self._file.path

    def append(self, buffer: Bytes) -> None:
        """Write the next bytes of the tensor, any number of them, little-endian and row-major.

        Args:
            buffer: contiguous bytes, or a C-contiguous NumPy array or scalar of any dtype and shape.

        Raises:
            BundleError: the tensor has fewer bytes, or the buffer is not contiguous.
            TargetUnwritableError: the data file cannot be written.
        """
        data = _flat(self.name, buffer)
        if self._stop + data.nbytes > self.nbytes:
            raise BundleError(
                f"{self.name!r} has {self.nbytes} bytes, and {self._stop + data.nbytes} were appended; "
                "check the dtype and shape that begin() got",
                variable=self.name,
            )
        with reporting_unwritable(self.path):
            self._file.write(data, self.offset + self._stop)
        self._crc32c = crc32c.extend(self._crc32c, data)
        self._stop += data.nbytes

    def written(self, at: int, nbytes: int, crc: int) -> None:
        """Record a range that another process or thread has written into the data file. Any thread may call it.

        Args:
            at: where the range begins in the tensor, in bytes.
            nbytes: length of the range, in bytes.
            crc: CRC32C of the range, unmasked.
        """
        with self._file.lock:
            if at == self._stop:
                self._crc32c = crc32c.combine(self._crc32c, crc, nbytes) if at else crc
                self._stop = at + nbytes
            else:
                self._later = [*(self._later or ()), _Range(at, at + nbytes, crc)]

    def finished(self) -> Part:
        """The part for the index.

        Raises:
            BundleError: bytes are missing, or were written twice.
        """
        later, self._later = sorted(self._later or ()), None
        for part in later:
            self.written(part.start, part.stop - part.start, part.crc32c)
        if self._later or self._stop != self.nbytes:
            raise BundleError(
                f"{self.name!r} has {self.nbytes} bytes, and not each of them was written exactly once: only the "
                f"first {self._stop} were; write the whole tensor inside the 'with' block",
                variable=self.name,
            )
        crc = self._crc32c if self.crc32c_of_strings is None else self.crc32c_of_strings
        return Part(self.part.start, self.part.shape, self._data_file, self.offset, self.nbytes, crc)


class _Range(NamedTuple):
    """Bytes ``start`` to ``stop`` of a tensor and their checksum."""

    start: int
    stop: int
    crc32c: int


def _flat(name: str, buffer: Bytes) -> NDArray[np.uint8]:
    """The bytes of ``buffer`` as a flat array that shares its memory."""
    import numpy as np

    if isinstance(buffer, np.ndarray | np.generic):
        buffer = np.asarray(buffer)
        if not buffer.flags.c_contiguous or buffer.dtype.hasobject or not buffer.dtype.isnative:
            raise BundleError(
                f"{name!r} got an array whose memory is not laid out as the file is; "
                "pass numpy.ascontiguousarray(...) of a native numeric type",
                variable=name,
            )
        return buffer.reshape(-1).view(np.uint8)
    view = memoryview(buffer)
    if not view.c_contiguous:
        raise BundleError(f"{name!r} got a buffer with gaps; pass contiguous bytes", variable=name)
    return np.frombuffer(view, np.uint8) if view.nbytes else np.empty(0, np.uint8)
