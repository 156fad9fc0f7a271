from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodist_saved.bundle import crc32c, varint
from autodist_saved.bundle.damage import Damage
from autodist_saved.bundle.table import read_table, write_table
from tests.support.bundles import save_with_tensorflow


def _table(items: dict[bytes, bytes]) -> bytes:
    file = io.BytesIO()
    write_table(file, sorted(items.items()))
    return file.getvalue()


@given(st.dictionaries(st.binary(max_size=40), st.binary(max_size=200), max_size=60))
def test_what_is_written_is_read(items: dict[bytes, bytes]) -> None:
    assert dict(read_table(_table(items))) == items


def test_many_blocks_of_long_keys_with_shared_beginnings() -> None:
    items = {b"layer/" * 50 + str(number).encode(): bytes(number % 300) for number in range(20_000)}
    table = _table(items)
    assert dict(read_table(table)) == items
    assert len(table) < sum(len(key) + len(value) for key, value in items.items()) / 2
    assert len(table) > 2 * 256 * 1024

    # A reader that seeks needs a whole key at least every 16 keys, and blocks that it can hold.
    first_block = next(size for size in range(4, 270 * 1024) if _ends_a_block(table, size))
    (restarts,) = struct.unpack_from("<I", table, first_block - 4)
    assert first_block > 256 * 1024
    assert restarts > 256 * 1024 / (16 * 320)


def _ends_a_block(table: bytes, size: int) -> bool:
    """Whether an uncompressed block of this size, its checksum behind it, begins the table."""
    return table[size : size + 5] == _block(table[:size])[-5:] if table[size] == 0 else False


def test_tables_of_several_blocks_from_tensorflow_are_read(tmp_path: Path) -> None:
    # TensorFlow writes what keys share only every 16th time: these take more than two of its blocks.
    tensors = {f"{number * 7919 % 1000:03d}" * 300: np.float32(number) for number in range(1_000)}
    save_with_tensorflow(tmp_path / "c", tensors)
    data = (tmp_path / "c.index").read_bytes()
    assert len(data) > 2 * 256 * 1024
    assert [key.decode() for key, _ in read_table(data)] == ["", *sorted(tensors)]


def _block(content: bytes, compression: int = 0) -> bytes:
    checksum = crc32c.mask(crc32c.extend(0, content + bytes([compression])))
    return content + struct.pack("<BI", compression, checksum)


def _content(items: list[tuple[int, bytes, bytes]], restarts: int = 1) -> bytes:
    """Items as (bytes shared with the key before, the rest of the key, value)."""
    body = b"".join(
        varint.encode(shared) + varint.encode(len(key)) + varint.encode(len(value)) + key + value
        for shared, key, value in items
    )
    return body + bytes(4) + struct.pack("<I", restarts)


def _handle(offset: int, size: int) -> bytes:
    return varint.encode(offset) + varint.encode(size)


def _assemble(
    *contents: bytes,
    compression: int = 0,
    listed: list[tuple[bytes, bytes]] | None = None,
    meta: bytes = _content([]),
    padding: bytes = b"\0",
    shared: int = 0,
) -> bytes:
    """A table of the given blocks with right checksums; ``listed`` replaces the index of blocks.

    All keys there but the first share ``shared`` bytes with the one before, and ``listed`` does not repeat them.
    """
    blocks, handles = b"", []
    for content in contents:
        handles.append(_handle(len(blocks), len(content)))
        blocks += _block(content, compression)
    bounds = listed or [(b"\xff", handle) for handle in handles]
    index = _content([(shared if number else 0, key, value) for number, (key, value) in enumerate(bounds)])
    tail = _block(meta) + _block(index)
    footer = _handle(len(blocks), len(meta)) + _handle(len(blocks) + len(meta) + 5, len(index))
    return blocks + tail + footer.ljust(40, padding) + struct.pack("<Q", 0xDB4775248B80FB57)


GOOD = _content([(0, b"a", b"1"), (0, b"b", b"2")])


def test_the_table_made_by_hand_is_right_before_it_is_made_wrong() -> None:
    assert list(read_table(_assemble(GOOD))) == [(b"a", b"1"), (b"b", b"2")]


@pytest.mark.parametrize(
    ("table", "message"),
    {
        "nothing": (b"", "another file, or is truncated"),
        "foreign": (b"\x89PNG" * 100, "another file, or is truncated"),
        "cut short": (_assemble(GOOD)[:-1], "another file, or is truncated"),
        "beginning cut off": (_assemble(GOOD)[40:], "beyond the end|does not match"),
        "wrong checksum": (_assemble(GOOD).replace(b"a1", b"a2", 1), "checksum of the block at byte 0"),
        "snappy": (_assemble(GOOD, compression=1), "compressed with Snappy"),
        "unknown compression": (_assemble(GOOD, compression=7), r"unknown compression \(7\)"),
        "padding": (_assemble(GOOD, padding=b"\x01"), "footer contains more"),
        "metadata": (_assemble(GOOD, meta=GOOD), "metadata"),
        "huge block": (_assemble(GOOD, listed=[(b"z", _handle(0, 2**62))]), "beyond the end"),
        "far block": (_assemble(GOOD, listed=[(b"z", _handle(2**62, 1))]), "beyond the end"),
        "loop": (_assemble(GOOD, listed=[(b"x", _handle(0, len(GOOD)))] * 2), "block twice"),
        "block list with junk": (_assemble(GOOD, listed=[(b"z", _handle(0, len(GOOD)) + b"!")]), "a wrong place"),
        "block list with a bad number": (_assemble(GOOD, listed=[(b"z", b"\xff" * 11)]), "not a valid number"),
        "keys beyond the block's bound": (_assemble(GOOD, listed=[(b"a", _handle(0, len(GOOD)))]), "order"),
        "unsorted": (_assemble(_content([(0, b"b", b""), (0, b"a", b"")])), "twice or out of order"),
        "duplicate": (_assemble(_content([(0, b"a", b""), (1, b"", b"")])), "twice or out of order"),
        "unsorted blocks": (_assemble(GOOD, GOOD), "twice or out of order"),
        "shares more than there is": (_assemble(_content([(9, b"a", b"")])), "beyond the end of its block"),
        "huge key": (_assemble(b"\0\xff\xff\xff\xff\x7f\0" + _content([])), "beyond the end of its block"),
        "bad number": (_assemble(b"\xff" * 11 + _content([])), "not a valid number"),
        "too many restarts": (_assemble(_content([], restarts=2**31)), "more restarts than bytes"),
        "tiny block": (_assemble(b"\0"), "shorter than any block"),
    }.values(),
)
def test_every_kind_of_damage_is_told(table: bytes, message: str) -> None:
    with pytest.raises(Damage, match=message):
        list(read_table(table))


def test_keys_that_would_unfold_beyond_all_memory_are_refused() -> None:
    # Each key takes five bytes here and 100,000 unfolded.
    first = (0, b"k" * 100_000, b"")
    rest = [(100_000, number.to_bytes(2, "big"), b"") for number in range(60_000)]
    with pytest.raises(Damage, match="far longer than the file"):
        for _ in read_table(_assemble(_content([first, *rest]))):
            pass


def test_bounds_of_blocks_that_would_unfold_so_are_refused() -> None:
    empty = _content([])
    handles = [_handle(number * (len(empty) + 5), len(empty)) for number in range(20_000)]
    bounds = [(b"k" * 100_000, handles[0])]
    bounds += [(number.to_bytes(2, "big"), handle) for number, handle in enumerate(handles[1:])]
    with pytest.raises(Damage, match="far longer than the file"):
        list(read_table(_assemble(*[empty] * len(handles), listed=bounds, shared=100_000)))
