"""Sizes and checksums of a model's files, which the manifest contains and by which copies are compared."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from autodist_saved.bundle import crc32c
from autodist_saved.errors import Problem
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.report.report import FileSum
from autodist_saved.system.error_translation import reading
from autodist_saved.system.foreign_files import ABSENT, NotAFileError, open_to_read, size_of

_CHUNK_BYTES = 2**20


def file_sums(files: SavedModelFiles) -> dict[str, FileSum]:
    """Size and CRC32C of every file of a staged model, by relative path. Call it before the manifest is written.

    Data files of variables have no checksum here and are not read again: they may have gigabytes, and the index
    contains the checksums of their bytes.
    """
    return {
        name: FileSum(size_of(path, files.root), None if files.is_data_file(path) else checksum(path, files.root))
        for name, path in files.all().items()
    }


def sum_problems(files: SavedModelFiles, sums: Mapping[str, FileSum], fix: str) -> Iterator[Problem]:
    """Find files of a model that are missing, or have another size or checksum. Additional files are no problem.

    Args:
        files: of the model.
        sums: the expected sizes and checksums, by relative path.
        fix: what to do about a problem.

    Raises:
        UnreadableError: a file cannot be read.
    """
    for name, planned in sums.items():
        path = files.root / name
        with reading(path):
            what = _difference(path, planned, files.root)
        if what is not None:
            yield Problem(name, what, fix)


def _difference(path: Path, planned: FileSum, root: Path) -> str | None:
    try:
        if (nbytes := size_of(path, root)) != planned.nbytes:
            return f"it has {nbytes:,} bytes, and {planned.nbytes:,} were exported"
        if planned.crc32c is not None and checksum(path, root) != planned.crc32c:
            return "its checksum differs from that of the exported file"
    except NotAFileError as error:
        return error.what
    except IsADirectoryError:
        return "it is a directory, and not a file"
    except ABSENT:
        return "it is missing"
    return None


def write_summed(place: Path, contents: str | os.PathLike[str] | bytes) -> FileSum:
    """Write ``contents`` to the file ``place``, or copy the file whose path ``contents`` is.

    Returns:
        size and checksum of the bytes that were written.

    Raises:
        OSError: a file cannot be read or written.
    """
    nbytes = crc = 0
    with place.open("wb") as file:
        for chunk in (contents,) if isinstance(contents, bytes) else _chunks(Path(contents)):
            file.write(chunk)
            nbytes += len(chunk)
            crc = crc32c.extend(crc, chunk)
    return FileSum(nbytes, crc)


def checksum(path: Path, root: Path | None = None) -> int:
    """CRC32C of a file's bytes, unmasked. ``root`` and errors are as for :func:`open_to_read`."""
    return functools.reduce(crc32c.extend, _chunks(path, root), 0)


def _chunks(path: Path, root: Path | None = None) -> Iterator[bytes]:
    with open_to_read(path, root) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
