"""Variable-length integers: seven bits in each byte, lowest first; all bytes but the last have the top bit set."""

from __future__ import annotations

from autodist_saved.bundle.damage import Damage

MAX_BYTES = 10
_ONE_BYTE = tuple(bytes([number]) for number in range(0x80))


def encode(number: int) -> bytes:
    """Encode a number, which must not be negative."""
    if number < len(_ONE_BYTE):
        return _ONE_BYTE[number]  # nearly all numbers are this small
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def decode(data: bytes, position: int) -> tuple[int, int]:
    """Decode the number at ``position``.

    Returns:
        the number, and the position after it.

    Raises:
        Damage: the data end inside the number, or it has more than 64 bits, or more bytes than it needs. No writer
            produces such numbers, but a flipped bit can.
    """
    if position < len(data) and data[position] < 0x80:
        return data[position], position + 1  # nearly all numbers are this small
    number = 0
    for count, byte in enumerate(data[position : position + MAX_BYTES]):
        number |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            if number >> 64 or (count and not byte):
                break
            return number, position + count + 1
    raise Damage("it contains a length that is not a valid number")
