from __future__ import annotations

import io
import struct

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodist_saved.bundle import crc32c, varint
from autodist_saved.bundle.damage import Damage
from autodist_saved.bundle.strings import encode_lengths, read_lengths


@given(st.lists(st.binary(max_size=300)))
def test_lengths_come_back_and_the_checksum_goes_on_from_them(values: list[bytes]) -> None:
    head, crc = encode_lengths(values)
    stored = head + b"".join(values)
    lengths, read_crc = read_lengths(io.BytesIO(stored), len(values), len(stored))
    assert list(lengths) == list(map(len, values))
    assert read_crc == crc


def test_lengths_beyond_32_bits_count_with_eight_bytes_in_the_checksum() -> None:
    class Long(bytes):
        def __len__(self) -> int:
            return 2**32 + 5

    head, _ = encode_lengths([b"abc", Long()])
    expected = google_crc32c.value(struct.pack("<IQ", 3, 2**32 + 5))
    assert head == varint.encode(3) + varint.encode(2**32 + 5) + struct.pack("<I", crc32c.mask(expected))
    lengths, _ = read_lengths(io.BytesIO(head), 2, len(head) + 2**32 + 8)
    assert list(lengths) == [3, 2**32 + 5]


@pytest.mark.parametrize(
    ("stored", "count", "nbytes"),
    [
        (encode_lengths([b"ab", b"c"])[0], 2, 8),  # the bytes of the strings would end before nbytes
        (encode_lengths([b"ab", b"c"])[0], 2, 10),  # or after
        (encode_lengths([b"ab", b"c"])[0], 1, 7),
        (encode_lengths([b"ab", b"c"])[0], 10**12, 9),
        (b"\x02\x01" + bytes(4), 2, 9),
        (b"\xff" * 11, 2, 9),
        (b"\x02", 2, 9),
        (b"", 1, 4),
        (b"", 0, 4),
    ],
    ids=str,
)
def test_lengths_that_lie_are_found_without_reading_on_their_word(stored: bytes, count: int, nbytes: int) -> None:
    with pytest.raises(Damage, match=r"lengths of its strings|not a valid number"):
        read_lengths(io.BytesIO(stored), count, nbytes)
