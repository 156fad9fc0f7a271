"""The index of a bundle: a header and the entries of all tensors, checked against each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from autodist_saved.bundle.bundle_pb2 import BundleEntryProto, BundleHeaderProto
from autodist_saved.bundle.damage import Damage
from autodist_saved.bundle.entry import Entry, decode_head, decode_part, encode_entry, encode_part
from autodist_saved.bundle.slices import KEY_START, check_cover, decode_slice, slice_key
from autodist_saved.bundle.table import read_table, write_table
from autodist_saved.errors import BundleError
from autodist_saved.system.foreign_files import read_file

_HEADER_KEY = b""
_VERSION = 1
_INDEX_BYTES = 256 * 2**20  # a tensor takes about a hundred: more than two million tensors
_UPGRADE = "load the checkpoint with the TensorFlow that wrote it"


def encode_name(name: str) -> bytes:
    """The key of a tensor. A name that was read from a key that is not UTF-8 becomes the same bytes again.

    Raises:
        BundleError: the name contains half of a surrogate pair, so it has no encoding.
    """
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise BundleError(f"{name!r} contains half of a surrogate pair; rename it", variable=name) from error


def write_index(file: BinaryIO, data_files: int, entries: Iterable[Entry]) -> None:
    """Write the index of a bundle.

    Args:
        file: a new binary file.
        data_files: number of data files of the bundle.
        entries: the tensors, in any order.
    """
    header = BundleHeaderProto(num_shards=data_files, endianness=BundleHeaderProto.LITTLE)
    header.version.producer = _VERSION
    items = dict(item for entry in entries for item in _items(entry))
    items[_HEADER_KEY] = header.SerializeToString(deterministic=True)
    write_table(file, sorted(items.items()))


def _items(entry: Entry) -> Iterator[tuple[bytes, bytes]]:
    key = encode_name(entry.name)
    yield key, encode_entry(entry)
    if entry.is_sliced:
        for part in entry.parts:
            yield slice_key(key, [*zip(part.start, part.shape, strict=True)]), encode_part(entry.dtype, part)


def read_index(path: Path, root: Path | None = None) -> tuple[int, dict[str, Entry]]:
    """Read and check an index.

    Args:
        path: of the index.
        root: as for :func:`open_to_read`.

    Returns:
        the number of data files, and all tensors by name, ordered by name.

    Raises:
        Damage, DecodeError: anything is wrong with the index.
    """
    values = dict(read_table(read_file(path, _INDEX_BYTES, root)))
    if _HEADER_KEY not in values:
        raise Damage("it has no header, so it is not the index of a tensor bundle")
    data_files = _data_files(values.pop(_HEADER_KEY))
    messages = {key: BundleEntryProto.FromString(value) for key, value in values.items()}
    slices = {key: messages.pop(key) for key in [key for key in messages if key.startswith(KEY_START)]}
    entries = [_entry(key, message, slices, data_files) for key, message in messages.items()]
    if slices:
        raise Damage(f"it contains slices that belong to no tensor ({len(slices)})")
    _check_apart(entries)
    return data_files, {entry.name: entry for entry in entries}


def _data_files(value: bytes) -> int:
    header = BundleHeaderProto.FromString(value)
    if header.endianness != BundleHeaderProto.LITTLE:
        raise Damage("it was written on a big-endian machine", _UPGRADE)
    if header.version.min_consumer > _VERSION or _VERSION in header.version.bad_consumers:
        raise Damage(f"it requires readers of version {header.version.min_consumer} or later", _UPGRADE)
    if header.num_shards < 1:
        raise Damage(f"it names {header.num_shards} data files")
    return header.num_shards


def _entry(key: bytes, message: BundleEntryProto, slices: dict[bytes, BundleEntryProto], data_files: int) -> Entry:
    """The tensor under ``key``. Removes its slices from ``slices``, so that slices without a tensor are left."""
    name = key.decode("utf-8", "surrogateescape")
    dtype, shape = decode_head(name, message)
    if not message.slices:
        return Entry(name, dtype, shape, (decode_part(name, message, (0,) * len(shape), data_files),))
    parts = []
    for described in message.slices:
        extents, start, slice_shape = decode_slice(name, described, shape)
        stored = slices.pop(slice_key(key, extents), None)
        if stored is None:
            raise Damage(f"the slice of {name!r} at {list(start)} is missing, or listed twice")
        if decode_head(name, stored) != (dtype, slice_shape):
            raise Damage(f"the slice of {name!r} at {list(start)} has the wrong dtype or shape")
        parts.append(decode_part(name, stored, start, data_files))
    check_cover(name, shape, parts)
    return Entry(name, dtype, shape, tuple(sorted(parts, key=lambda part: part.start)))


def _check_apart(entries: Iterable[Entry]) -> None:
    """Check that no two parts share bytes.

    A small file with such parts could make a reader of all tensors allocate any amount of memory.
    """
    places = sorted(
        (part.data_file, part.offset, part.nbytes, entry.name)
        for entry in entries
        for part in entry.parts
        if part.nbytes
    )
    for (data_file, offset, nbytes, name), (next_file, next_offset, _, other) in itertools.pairwise(places):
        if data_file == next_file and offset + nbytes > next_offset:
            raise Damage(f"{name!r} and {other!r} share bytes of data file {data_file}")
