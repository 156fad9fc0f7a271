from __future__ import annotations

import functools

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodist_saved.bundle.crc32c import combine, extend, mask, unmask


@pytest.mark.parametrize(
    ("data", "crc"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_it_is_castagnolis_checksum(data: bytes, crc: int) -> None:
    assert extend(0, data) == crc
    assert extend(0, np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)) == crc


def test_mask_is_the_one_of_the_format() -> None:
    # LevelDB's and TensorFlow's: rotated right by 15 bits, plus a constant.
    assert mask(0) == 0xA282EAD8
    assert mask(1) == 0xA284EAD8


@given(st.integers(0, 2**32 - 1))
def test_unmask_undoes_mask(crc: int) -> None:
    assert unmask(mask(crc)) == crc
    assert 0 <= mask(crc) < 2**32


@given(st.lists(st.binary(max_size=300)))
def test_checksums_of_ranges_combine_to_that_of_the_whole(ranges: list[bytes]) -> None:
    pairs = ((google_crc32c.value(data), len(data)) for data in ranges)
    whole, _ = functools.reduce(lambda a, b: (combine(a[0], b[0], b[1]), a[1] + b[1]), pairs, (0, 0))
    assert whole == google_crc32c.value(b"".join(ranges))


def test_terabytes_combine_at_once() -> None:
    crc, nbytes = extend(0, bytes(2**20)), 2**20
    while nbytes < 2**40:
        crc, nbytes = combine(crc, crc, nbytes), 2 * nbytes
    head, tail = extend(0, b"head"), extend(0, b"tail")
    # It is associative, whichever of the two neighbours comes first.
    assert combine(combine(head, crc, nbytes), tail, 4) == combine(head, combine(crc, tail, 4), nbytes + 4)
