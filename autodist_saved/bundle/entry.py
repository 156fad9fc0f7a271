"""One tensor of a bundle: name, type, shape, and which bytes of which data file hold it. Plain data."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from autodist_saved.bundle.bundle_pb2 import BundleEntryProto
from autodist_saved.bundle.crc32c import mask, unmask
from autodist_saved.bundle.damage import Damage
from autodist_saved.bundle.dtypes import item_bytes, name_of, number_of

Shape = tuple[int, ...]

_MAX_DIMENSIONS = 64  # NumPy's limit; TensorFlow's kernels end far below
_MAX_BYTES = 2**63 - 1


class Part(NamedTuple):
    """A rectangular part of a tensor, stored in one piece, row-major.

    Attributes:
        start: where the part begins in the tensor, one number per dimension.
        shape: its extent, one number per dimension.
        data_file: number of the data file that holds it.
        offset: where it begins there, in bytes.
        nbytes: what it takes there.
        crc32c: its checksum, unmasked.
    """

    start: Shape
    shape: Shape
    data_file: int
    offset: int
    nbytes: int
    crc32c: int


class Entry(NamedTuple):
    """A whole tensor as the index lists it.

    Attributes:
        name: its key.
        dtype: name of the element type, such as ``float32`` or ``string``.
        shape: full shape.
        parts: one that is all of it, or the slices that TensorFlow stored of a partitioned variable.
    """

    name: str
    dtype: str
    shape: Shape
    parts: tuple[Part, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor in the data files; for strings with their lengths."""
        return sum(part.nbytes for part in self.parts)

    @property
    def data_files(self) -> tuple[int, ...]:
        """Numbers of the data files that hold it."""
        return tuple(sorted({part.data_file for part in self.parts}))

    @property
    def is_sliced(self) -> bool:
        """Whether it is stored in slices rather than in one piece."""
        return len(self.parts) != 1 or self.parts[0].shape != self.shape


def is_storable(dtype: str, shape: Shape) -> bool:
    """Whether a tensor can have this shape: few dimensions, none negative, bytes that can be counted.

    Dimensions of extent 0 do not make up for others that are too large: NumPy and TensorFlow see it so, too.
    """
    if len(shape) > _MAX_DIMENSIONS or any(extent < 0 for extent in shape):
        return False
    return math.prod(filter(None, shape)) * (item_bytes(dtype) or 1) <= _MAX_BYTES


def encode_entry(entry: Entry) -> bytes:
    """The value under the key of an entry that is stored in one piece."""
    (part,) = entry.parts
    place = BundleEntryProto(shard_id=part.data_file, offset=part.offset, size=part.nbytes, crc32c=mask(part.crc32c))
    # Messages one after the other are one message.
    return _encode_head(entry.dtype, entry.shape) + place.SerializeToString(deterministic=True)


@lru_cache(maxsize=256)
def _encode_head(dtype: str, shape: Shape) -> bytes:
    message = BundleEntryProto(dtype=number_of(dtype))
    message.shape.SetInParent()
    for extent in shape:
        message.shape.dim.add(size=extent)
    return message.SerializeToString(deterministic=True)


def decode_head(name: str, message: BundleEntryProto) -> tuple[str, Shape]:
    """The type and the shape in an entry.

    Raises:
        Damage: there is no such type, or the shape is none.
    """
    dtype = name_of(message.dtype)
    if dtype is None:
        raise Damage(
            f"{name!r} is of a type unknown to this package (number {message.dtype})",
            "upgrade autodist-saved, or load the checkpoint with the TensorFlow that wrote it",
        )
    shape = tuple(dim.size for dim in message.shape.dim)
    if message.shape.unknown_rank or not is_storable(dtype, shape):
        raise Damage(f"{name!r} has no valid shape")
    return dtype, shape


def decode_part(name: str, message: BundleEntryProto, start: Shape, data_files: int) -> Part:
    """Where the bytes of an entry are.

    Raises:
        Damage: they do not fit its type and shape, or lie in no data file of the bundle.
    """
    dtype, shape = decode_head(name, message)
    if not 0 <= message.shard_id < data_files:
        raise Damage(f"{name!r} lies in data file {message.shard_id} of {data_files}")
    if message.offset < 0 or message.size < 0:
        raise Damage(f"{name!r} lies at a negative place or has a negative size")
    elements, item = math.prod(shape), item_bytes(dtype)
    if item is not None and message.size != elements * item:
        raise Damage(f"{name!r} has {message.size:,} bytes, but its type and shape take {elements * item:,}")
    if item is None and message.size < elements:
        raise Damage(f"{name!r} has {message.size:,} bytes, too few for {elements:,} elements")
    return Part(start, shape, message.shard_id, message.offset, message.size, unmask(message.crc32c))
