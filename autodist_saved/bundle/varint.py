"""Variable-length integers: seven bits a byte, the lowest first, the top bit set on all but the last."""

from __future__ import annotations

from autodist_saved.bundle.damage import Damage

MAX_BYTES = 10
_ONE_BYTE = tuple(bytes([number]) for number in range(0x80))


def encode(number: int) -> bytes:
    """The bytes of ``number``, which is not negative."""
    if number < len(_ONE_BYTE):
        return _ONE_BYTE[number]  # nearly all are so small
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def decode(data: bytes, position: int) -> tuple[int, int]:
    """The number at ``position`` and the position after it.

    Raises:
        Damage: the data end inside it, it has more than 64 bits, or more bytes than it needs. No writer makes
            such; a flipped bit does.
    """
    if position < len(data) and data[position] < 0x80:
        return data[position], position + 1  # nearly all are so small
    number = 0
    for count, byte in enumerate(data[position : position + MAX_BYTES]):
        number |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            if number >> 64 or (count and not byte):
                break
            return number, position + count + 1
    raise Damage("it holds a length that is no valid number")
