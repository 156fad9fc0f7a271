from __future__ import annotations

import pytest
from google.protobuf.internal.encoder import _VarintBytes
from hypothesis import given
from hypothesis import strategies as st

from autodist_saved.bundle import varint
from autodist_saved.bundle.damage import Damage


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3), st.binary(max_size=3))
def test_numbers_come_back_and_are_written_as_protobuf_does(number: int, before: bytes, after: bytes) -> None:
    encoded = varint.encode(number)
    assert encoded == _VarintBytes(number)
    assert varint.decode(before + encoded + after, len(before)) == (number, len(before) + len(encoded))


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\xff" * 9, b"\xff" * 10 + b"\x01", b"\xff" * 9 + b"\x02", b"\x8e\x00"], ids=repr
)
def test_what_is_cut_short_too_large_or_longer_than_need_be_is_refused(data: bytes) -> None:
    with pytest.raises(Damage, match="not a valid number"):
        varint.decode(data, 0)
