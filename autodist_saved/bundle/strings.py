"""String tensors in a data file: all lengths, a checksum of them, then all bytes."""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Sequence
from typing import BinaryIO

from autodist_saved.bundle import crc32c, varint
from autodist_saved.bundle.damage import Damage

_CHECKSUM = struct.Struct("<I")
_UINT32_MAX = 2**32 - 1
_CHUNK_BYTES = 64 * 1024


def encode_lengths(values: Sequence[bytes]) -> tuple[bytes, int]:
    """What stands before the bytes of ``values``, and the checksum up to there; the bytes extend it."""
    lengths = array("Q", map(len, values))
    checksum = _checksum(lengths)
    stored = _CHECKSUM.pack(crc32c.mask(checksum))
    return b"".join(map(varint.encode, lengths)) + stored, crc32c.extend(checksum, stored)


def read_lengths(file: BinaryIO, count: int, nbytes: int) -> tuple[array[int], int]:
    """Read what stands before the bytes of ``count`` strings that take ``nbytes`` in all. ``file`` is at it.

    Returns:
        The lengths, which are sure to fill ``nbytes`` exactly, and the checksum up to here.

    Raises:
        Damage: the lengths fail their checksum or do not fill ``nbytes``.
    """
    lengths, left = array("Q"), nbytes - _CHECKSUM.size
    data, position = b"", 0
    for _ in range(count):
        if len(data) - position < varint.MAX_BYTES:
            data, position = data[position:] + file.read(_CHUNK_BYTES), 0
        length, end = varint.decode(data, position)
        lengths.append(length)
        left -= length + end - position
        position = end
        if left < 0:
            break
    file.seek(position - len(data), os.SEEK_CUR)
    stored = file.read(_CHECKSUM.size)
    checksum = _checksum(lengths)
    if left != 0 or len(stored) < _CHECKSUM.size or crc32c.unmask(_CHECKSUM.unpack(stored)[0]) != checksum:
        raise Damage("the lengths of its strings do not fit their checksum or their place")
    return lengths, crc32c.extend(checksum, stored)


def _checksum(lengths: array[int]) -> int:
    """The checksum over lengths as TensorFlow takes it: four bytes each, eight for those that need them."""
    if not lengths or max(lengths) <= _UINT32_MAX:
        import numpy as np

        return crc32c.extend(0, np.array(lengths, "<u4").view(np.uint8))
    fitted = (length.to_bytes(4 if length <= _UINT32_MAX else 8, "little") for length in lengths)
    return crc32c.extend(0, b"".join(fitted))
