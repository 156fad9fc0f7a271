"""CRC32C as tensor bundles use it: stored in masked form, and combined from the checksums of ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import google_crc32c

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MASK_DELTA = 0xA282EAD8
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed: bit 31 stands for x**0
_ONE = 1 << 31


def extend(crc: int, data: bytes | NDArray[np.uint8]) -> int:
    """The checksum of some bytes followed by ``data``.

    Args:
        crc: the checksum of the bytes before, unmasked; 0 if there are none.
        data: the bytes that follow.
    """
    return int(google_crc32c.extend(crc, data))


def mask(crc: int) -> int:
    """The form in which a checksum is stored, as LevelDB defines it.

    A checksum over bytes that contain their own unmasked checksum would detect fewer errors.
    """
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def unmask(masked: int) -> int:
    """The inverse of :func:`mask`."""
    rotated = (masked - _MASK_DELTA) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def combine(crc_a: int, crc_b: int, length_b: int) -> int:
    """The checksum of A followed by B, computed from the checksums of both.

    With it, several writers can checksum ranges of one tensor in any order. CRC32C is linear: appending
    ``length_b`` zero bytes multiplies by x to the power of ``8 * length_b``, which takes about 2 log2(length_b)
    multiplications.

    Args:
        crc_a: checksum of A, unmasked.
        crc_b: checksum of B, unmasked.
        length_b: number of bytes of B.
    """
    power, square = _ONE, _ONE >> 8  # x**0 and x**8
    while length_b:
        if length_b & 1:
            power = _multiply(power, square)
        square = _multiply(square, square)
        length_b >>= 1
    return _multiply(power, crc_a) ^ crc_b


def _multiply(a: int, b: int) -> int:
    """The product of two polynomials over GF(2), modulo Castagnoli's."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ (_POLYNOMIAL if b & 1 else 0)
    return product
