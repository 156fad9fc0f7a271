"""One tensor of a bundle: its name, dtype and shape, and where its bytes are. Plain data."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from autodist_saved.bundle.bundle_pb2 import BundleEntryProto, TensorSliceProto
from autodist_saved.bundle.crc32c import mask, unmask
from autodist_saved.bundle.damage import Damage
from autodist_saved.bundle.dtypes import item_bytes, name_of, number_of
from autodist_saved.bundle.slice_spec import Shape, Slice

_MAX_DIMENSIONS = 64  # NumPy's limit; that of TensorFlow's kernels is far lower
_MAX_BYTES = 2**63 - 1
_MAX_STRINGS = 2**28  # reading the lengths of so many takes minutes and 2 GiB


class Part(NamedTuple):
    """A rectangular part of a tensor, whose bytes lie together in one data file, row-major.

    Attributes:
        start: where the part begins in the tensor, in elements, one number per dimension.
        shape: extent of the part in elements, one number per dimension.
        data_file: number of the data file that holds the part.
        offset: where the part begins in that file, in bytes.
        nbytes: size of the part in that file, in bytes.
        crc32c: checksum of the part, unmasked.
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
        name: key of the tensor.
        dtype: name of the element type, such as ``float32`` or ``string``.
        shape: full shape.
        parts: one part that is the whole tensor; or the slices in which TensorFlow has stored a partitioned variable.
    """

    name: str
    dtype: str
    shape: Shape
    parts: tuple[Part, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor in the data files. For strings, the encoded lengths are included."""
        return sum(part.nbytes for part in self.parts)

    @property
    def data_files(self) -> tuple[int, ...]:
        """Numbers of the data files that hold the tensor, sorted."""
        return tuple(sorted({part.data_file for part in self.parts}))

    @property
    def is_sliced(self) -> bool:
        """Whether the tensor is stored in slices, and not in one part."""
        return len(self.parts) != 1 or self.parts[0].shape != self.shape

    @property
    def slices(self) -> tuple[Slice, ...]:
        """The slices in which the tensor is stored; none where it is stored in one part."""
        return tuple(Slice(self.shape, part.start, part.shape) for part in self.parts if self.is_sliced)


def is_storable(dtype: str, shape: Shape) -> bool:
    """Whether a tensor can have this shape: at most 64 dimensions, none negative, and less than 2**63 bytes.

    A dimension of extent 0 does not count in the product of the others: NumPy and TensorFlow also refuse such a
    shape if the other dimensions alone are too large.
    """
    if len(shape) > _MAX_DIMENSIONS or any(extent < 0 for extent in shape):
        return False
    return math.prod(filter(None, shape)) * (item_bytes(dtype) or 1) <= _MAX_BYTES


def encode_entry(entry: Entry) -> bytes:
    """The index's value for an entry: with the place of its one part, or with the list of its slices."""
    if not entry.is_sliced:
        return encode_part(entry.dtype, entry.parts[0])
    slices = BundleEntryProto(slices=[_slice(part) for part in entry.parts])
    return _encode_head(entry.dtype, entry.shape) + slices.SerializeToString(deterministic=True)


def encode_part(dtype: str, part: Part) -> bytes:
    """The index's value for one part: a whole tensor, or a slice under its own key."""
    place = BundleEntryProto(shard_id=part.data_file, offset=part.offset, size=part.nbytes, crc32c=mask(part.crc32c))
    # Serialized messages that follow each other decode as one message, so the head can be cached by dtype and shape.
    return _encode_head(dtype, part.shape) + place.SerializeToString(deterministic=True)


def _slice(part: Part) -> TensorSliceProto:
    extents = zip(part.start, part.shape, strict=True)
    return TensorSliceProto(extent=[TensorSliceProto.Extent(start=start, length=length) for start, length in extents])


@lru_cache(maxsize=256)
def _encode_head(dtype: str, shape: Shape) -> bytes:
    message = BundleEntryProto(dtype=number_of(dtype))
    message.shape.SetInParent()
    for extent in shape:
        message.shape.dim.add(size=extent)
    return message.SerializeToString(deterministic=True)


def decode_head(name: str, message: BundleEntryProto) -> tuple[str, Shape]:
    """Decode dtype and shape of an entry.

    Raises:
        Damage: the dtype is unknown, or the shape is not valid.
    """
    dtype = name_of(message.dtype)
    if dtype is None:
        raise Damage(
            f"{name!r} has a dtype that this package does not know (number {message.dtype})",
            "upgrade autodist-saved, or load the checkpoint with the TensorFlow that wrote it",
        )
    shape = tuple(dim.size for dim in message.shape.dim)
    if message.shape.unknown_rank or not is_storable(dtype, shape):
        raise Damage(f"{name!r} has no valid shape")
    return dtype, shape


def decode_part(name: str, message: BundleEntryProto, start: Shape, data_files: int) -> Part:
    """Decode where the bytes of an entry are.

    Args:
        name: of the tensor.
        message: the entry of the tensor or of one of its slices.
        start: where the part begins in the tensor.
        data_files: number of data files of the bundle.

    Raises:
        Damage: the number of bytes does not fit dtype and shape, or the bundle has no such data file.
    """
    dtype, shape = decode_head(name, message)
    if not 0 <= message.shard_id < data_files:
        raise Damage(f"{name!r} lies in data file {message.shard_id} of {data_files}")
    if message.offset < 0 or message.size < 0:
        raise Damage(f"{name!r} has a negative offset or a negative size")
    elements, item = math.prod(shape), item_bytes(dtype)
    if item is not None and message.size != elements * item:
        raise Damage(f"{name!r} has {message.size:,} bytes, but its dtype and shape need {elements * item:,}")
    if item is None and elements > _MAX_STRINGS:
        raise Damage(f"{name!r} has {elements:,} strings, more than any job has")
    if item is None and message.size < elements:
        raise Damage(f"{name!r} has {message.size:,} bytes, too few for {elements:,} elements")
    return Part(start, shape, message.shard_id, message.offset, message.size, unmask(message.crc32c))
