"""The slices in which partitioned tensors are stored: all of TensorFlow's, and those of ours that need it.

Each slice has a key in TensorFlow's ordered code (``tensorflow/core/lib/strings/ordered_code.h``).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence

from autodist_saved.bundle.bundle_pb2 import TensorSliceProto
from autodist_saved.bundle.damage import Damage
from autodist_saved.bundle.entry import Part
from autodist_saved.bundle.slice_spec import Shape

KEY_START = b"\0"  # the first byte of each key of a slice, and of no name of a tensor
_EVERYTHING = -1
_MAX_CORNERS = 2**22  # of all slices of a tensor: two million along one dimension, a million along two

Extents = Sequence[tuple[int, int]]
"""For each dimension a start and a length, in elements. The length -1 means the whole dimension."""


def slice_key(name: bytes, extents: Extents) -> bytes:
    """The key of the slice of tensor ``name`` with these extents."""
    numbers = b"".join(_ordered(start) + _ordered(length) for start, length in extents)
    return KEY_START + _escaped(name) + b"\0\1" + _ordered_unsigned(len(extents)) + numbers


def _escaped(name: bytes) -> bytes:
    return b"\0\xff".join(part.replace(b"\xff", b"\xff\0") for part in name.split(b"\0"))


def decode_slice(name: str, message: TensorSliceProto, shape: Shape) -> tuple[Extents, Shape, Shape]:
    """Decode one slice of a tensor.

    Args:
        name: of the tensor.
        message: the slice.
        shape: of the tensor.

    Returns:
        the extents as they are in the slice's key, the start of the slice in the tensor, and its shape.

    Raises:
        Damage: the slice lies outside the shape.
    """
    extents = [
        (extent.start, extent.length if extent.HasField("length") else _EVERYTHING) for extent in message.extent
    ]
    start = tuple(first for first, _ in extents)
    lengths = tuple(
        whole if length == _EVERYTHING and first == 0 else length
        for (first, length), whole in zip(extents, shape, strict=False)
    )
    inside = len(extents) == len(shape) and all(
        first >= 0 and length >= 0 and first + length <= whole
        for first, length, whole in zip(start, lengths, shape, strict=True)
    )
    if not inside:
        raise Damage(f"a slice of {name!r} lies outside its shape {list(shape)}")
    return extents, start, lengths


def check_cover(name: str, shape: Shape, parts: Sequence[Part]) -> None:
    """Check that the parts contain every element of ``shape`` exactly once. Each part must lie inside the shape.

    Takes time and memory in proportion to the number of parts. Every dimension along which the tensor is sliced
    doubles both.

    Raises:
        Damage: the parts overlap or leave a gap; or there are more of them, along more dimensions, than can be
            checked.
    """
    filled = [part for part in parts if math.prod(part.shape)]
    if sum(math.prod(part.shape) for part in filled) != math.prod(shape):
        raise Damage(f"the slices of {name!r} do not add up to its shape {list(shape)}")
    if not filled:
        return
    axes = [axis for axis, whole in enumerate(shape) if any(part.shape[axis] != whole for part in filled)]
    if len(filled) << len(axes) > _MAX_CORNERS:
        raise Damage(f"{name!r} has {len(filled):,} slices along {len(axes)} dimensions, which are too many")
    # Each corner of a part counts 1 or -1, so that the sum of all corners up to an element is the number of parts
    # that contain it. The same goes for the whole. So the parts cover it if and only if all corners cancel out.
    corners: Counter[Shape] = Counter()
    for start, extents, sign in [((0,) * len(shape), shape, -1), *((one.start, one.shape, 1) for one in filled)]:
        for corner, count in _corners(start, extents, axes, sign):
            corners[corner] += count
    # Nothing else counts up to the first corner that is left, in the order of elements.
    first = min((corner for corner, count in corners.items() if count), default=None)
    if first is not None:
        at = dict(zip(axes, first, strict=True))
        what = "overlap" if corners[first] > 0 else "leave a gap"
        raise Damage(f"the slices of {name!r} {what} at {[at.get(axis, 0) for axis in range(len(shape))]}")


def _corners(start: Shape, shape: Shape, axes: Sequence[int], sign: int) -> Iterator[tuple[Shape, int]]:
    """The corners of a part along some axes, with ``sign`` for the first one, which changes from end to end."""
    ends = [((start[axis], 1), (start[axis] + shape[axis], -1)) for axis in axes]
    for chosen in itertools.product(*ends):
        yield tuple(at for at, _ in chosen), sign * math.prod(turn for _, turn in chosen)


def _ordered_unsigned(number: int) -> bytes:
    """Encode a number: one byte with the count of bytes that follow, then the number, highest byte first."""
    encoded = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([len(encoded)]) + encoded


def _ordered(number: int) -> bytes:
    """Encode a signed number so that the codes sort as the numbers do.

    A code of n bytes consists of n bits that are the inverse of the sign bit, the sign bit, and the lowest 7 n - 1
    bits of the number.
    """
    magnitude = ~number if number < 0 else number
    count = magnitude.bit_length() // 7 + 1
    header = ((1 << count) - 1) << (7 * count)
    return ((number ^ header) & ((1 << 8 * count) - 1)).to_bytes(count, "big")
