"""The slices of a partitioned tensor as TensorFlow stores them: one key each, in its ordered code.

We write whole tensors only; this is what reading partitioned checkpoints needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from autodist_saved.bundle.bundle_pb2 import TensorSliceProto
from autodist_saved.bundle.damage import Damage
from autodist_saved.bundle.entry import Part, Shape

KEY_START = b"\0"  # every key of a slice begins so, and no name of a tensor does
_EVERYTHING = -1

Extents = Sequence[tuple[int, int]]
"""A start and a length per dimension; the length -1 stands for everything."""


def slice_key(name: bytes, extents: Extents) -> bytes:
    """The key of the slice of tensor ``name`` with these extents."""
    numbers = b"".join(_ordered(start) + _ordered(length) for start, length in extents)
    return KEY_START + _escaped(name) + b"\0\1" + _ordered_unsigned(len(extents)) + numbers


def _escaped(name: bytes) -> bytes:
    return b"\0\xff".join(part.replace(b"\xff", b"\xff\0") for part in name.split(b"\0"))


def decode_slice(name: str, message: TensorSliceProto, shape: Shape) -> tuple[Extents, Shape, Shape]:
    """One slice of a tensor of this shape: its extents as they stand in its key, its start and its shape.

    Raises:
        Damage: it does not lie in the shape.
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
    """Check that parts that lie inside ``shape`` hold every element of it exactly once.

    Raises:
        Damage: they overlap or leave a gap.
    """
    filled = [part for part in parts if math.prod(part.shape)]
    if sum(math.prod(part.shape) for part in filled) != math.prod(shape):
        raise Damage(f"the slices of {name!r} do not add up to its shape {list(shape)}")
    if len(filled) < 2:
        return
    # Sweep along the dimension that tells most parts apart, so that a grid takes few comparisons.
    axis = max(range(len(shape)), key=lambda axis: len({part.start[axis] for part in filled}))
    filled.sort(key=lambda part: part.start[axis])
    for position, first in enumerate(filled):
        end = first.start[axis] + first.shape[axis]
        for second in filled[position + 1 :]:
            if second.start[axis] >= end:
                break
            if _overlap(first, second):
                raise Damage(f"the slices of {name!r} at {list(first.start)} and {list(second.start)} overlap")


def _overlap(first: Part, second: Part) -> bool:
    return all(
        max(a, b) < min(a + x, b + y)
        for a, x, b, y in zip(first.start, first.shape, second.start, second.shape, strict=True)
    )


def _ordered_unsigned(number: int) -> bytes:
    """A byte with the count of bytes that follow, then the number, highest byte first."""
    encoded = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([len(encoded)]) + encoded


def _ordered(number: int) -> bytes:
    """A signed number so that bytes sort as numbers do.

    It takes n bytes: n bits that are not its sign, its sign, and its lowest 7 n - 1 bits.
    """
    magnitude = ~number if number < 0 else number
    count = magnitude.bit_length() // 7 + 1
    header = ((1 << count) - 1) << (7 * count)
    return ((number ^ header) & ((1 << 8 * count) - 1)).to_bytes(count, "big")
