"""Tensors of strings in a data file: the lengths of all strings, a checksum of the lengths, then all bytes."""

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
    """Encode the lengths of strings.

    Returns:
        the bytes that precede the bytes of the strings in the file; and the tensor's checksum up to there, which
        the caller extends by the bytes of the strings.
    """
    lengths = array("Q", map(len, values))
    checksum = _checksum(lengths)
    stored = _CHECKSUM.pack(crc32c.mask(checksum))
    return b"".join(map(varint.encode, lengths)) + stored, crc32c.extend(checksum, stored)


def read_lengths(file: BinaryIO, count: int, nbytes: int) -> tuple[array[int], int]:
    """Read the lengths of the strings of a tensor.

    Args:
        file: at the first byte of the tensor. It is at the first byte of the first string afterwards.
        count: number of strings.
        nbytes: bytes of the whole tensor in the file.

    Returns:
        the lengths, in bytes, with which the strings fill ``nbytes`` exactly; and the tensor's checksum up to the
        first string.

    Raises:
        Damage: the lengths do not match their checksum, or do not fill ``nbytes``.
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
        raise Damage("the lengths of its strings do not match their checksum or the size of the tensor")
    return lengths, crc32c.extend(checksum, stored)


def _checksum(lengths: array[int]) -> int:
    """TensorFlow's checksum of lengths: of each as four bytes, or as eight if it needs them."""
    if not lengths or max(lengths) <= _UINT32_MAX:
        import numpy as np

        return crc32c.extend(0, np.array(lengths, "<u4").view(np.uint8))
    fitted = (length.to_bytes(4 if length <= _UINT32_MAX else 8, "little") for length in lengths)
    return crc32c.extend(0, b"".join(fitted))
