"""CRC32C as tensor bundles use it: masked where it is stored, and combined from ranges."""

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
    """The checksum of what ``crc`` stands for followed by ``data``. The checksum of nothing is 0."""
    return int(google_crc32c.extend(crc, data))


def mask(crc: int) -> int:
    """The form in which checksums are stored, so that a checksum over stored checksums keeps its strength."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def unmask(masked: int) -> int:
    """The inverse of :func:`mask`."""
    rotated = (masked - _MASK_DELTA) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def combine(crc_a: int, crc_b: int, length_b: int) -> int:
    """The checksum of A followed by B, from the checksums of both and the bytes of B.

    Ranges of one tensor can so be checksummed in any order and by several writers. CRC32C is linear:
    appending ``length_b`` zero bytes multiplies by x to the power of ``8 * length_b``, which takes about
    2 log2(length_b) multiplications.
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
