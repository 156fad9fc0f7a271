"""What a hostile or broken index can claim, although every checksum in it is right."""

from __future__ import annotations

import contextlib
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodist_saved.bundle import BundleReader
from autodist_saved.bundle.slices import slice_key
from autodist_saved.errors import BundleError
from tests.support.bundles import entry, header, write_raw

ROWS = [(0, 1), (1, 1)]


def _sliced(*slices: tuple[int, int], shape: tuple[int, ...] = (2,)) -> bytes:
    extents = [{"extent": [{"start": start, "length": length}]} for start, length in slices]
    return entry(shape, size=0, slices=extents)


def _slices(*slices: tuple[int, int], **changes: object) -> list[tuple[bytes, bytes]]:
    return [
        (
            slice_key(b"t", [place]),
            entry(**{"shape": (place[1],), "size": 4, "offset": 4 * number, **changes}),
        )
        for number, place in enumerate(slices)
    ]


WRONG = {
    "no header": ([(b"t", entry())], "no header"),
    "header that is no message": ([(b"", b"\xff")], "cannot be decoded"),
    "big-endian": ([(b"", header(endianness=1))], "big-endian machine; load the checkpoint with"),
    "newer version": ([(b"", header(version={"min_consumer": 2}))], "version 2 or later"),
    "our version banned": ([(b"", header(version={"bad_consumers": [1]}))], "requires readers"),
    "no data files": ([(b"", header(num_shards=0))], "names 0 data files"),
    "negative data files": ([(b"", header(num_shards=-3))], "names -3 data files"),
    "entry that is no message": ([(b"", header()), (b"t", b"\x0a\xff")], "cannot be decoded"),
    "empty entry": ([(b"", header()), (b"t", b"")], r"does not know \(number 0\)"),
    "unknown type": (
        [(b"", header()), (b"t", entry(dtype=99))],
        r"does not know \(number 99\); upgrade",
    ),
    "resource": ([(b"", header()), (b"t", entry(dtype=20))], r"does not know \(number 20\)"),
    "negative dimension": ([(b"", header()), (b"t", entry((-2, -1)))], "no valid shape"),
    "unknown rank": ([(b"", header()), (b"t", entry(unknown_rank=True))], "no valid shape"),
    "255 dimensions": ([(b"", header()), (b"t", entry((1,) * 255, size=4))], "no valid shape"),
    "huge empty": ([(b"", header()), (b"t", entry((0, 2**62, 2**62), size=0))], "no valid shape"),
    "size too small": ([(b"", header()), (b"t", entry(size=4))], "has 4 bytes, but .* need 8"),
    "size too large": ([(b"", header()), (b"t", entry(size=12))], "has 12 bytes, but .* need 8"),
    "negative size": ([(b"", header()), (b"t", entry(size=-8))], "negative size"),
    "negative offset": ([(b"", header()), (b"t", entry(offset=-8))], "negative offset"),
    "offset outside the file": ([(b"", header()), (b"t", entry(offset=57))], "has 64 bytes, .* byte 65"),
    "far offset": ([(b"", header()), (b"t", entry(offset=2**62))], "has 64 bytes"),
    "huge tensor": ([(b"", header()), (b"t", entry((2**60,), size=2**62))], "has 64 bytes"),
    "more strings than bytes": ([(b"", header()), (b"t", entry((65,), dtype=7, size=64))], "too few for"),
    "huge strings": ([(b"", header()), (b"t", entry((2**60,), dtype=7, size=64))], "more than any job"),
    "data file beyond the last": ([(b"", header()), (b"t", entry(shard_id=1))], "data file 1 of 1"),
    "negative data file": ([(b"", header()), (b"t", entry(shard_id=-1))], "data file -1 of 1"),
    "missing data file": (
        [(b"", header(num_shards=2)), (b"t", entry())],
        "data-00000-of-00002.*no such file",
    ),
    "shared bytes": ([(b"", header()), (b"s", entry(offset=4)), (b"t", entry())], "'t' and 's' share bytes"),
    "slice missing": ([(b"", header()), *_slices(ROWS[0]), (b"t", _sliced(*ROWS))], r"\[1\] is missing"),
    "slice listed twice": (
        [(b"", header()), *_slices((0, 1)), (b"t", _sliced((0, 1), (0, 1)))],
        "listed twice",
    ),
    "slice of nothing": ([(b"", header()), *_slices((0, 1))], "belong to no tensor"),
    "slice outside": ([(b"", header()), *_slices((1, 2)), (b"t", _sliced((1, 2)))], "lies outside"),
    "slice with a gap": ([(b"", header()), *_slices((1, 1)), (b"t", _sliced((1, 1)))], "do not add up"),
    "slices overlapping": (
        [(b"", header()), *_slices((0, 2), (1, 2), size=8), (b"t", _sliced((0, 2), (1, 2), shape=(4,)))],
        "overlap",
    ),
    "slice of another type": (
        [(b"", header()), *_slices(*ROWS, dtype=3), (b"t", _sliced(*ROWS))],
        "wrong dtype or shape",
    ),
    "slice of another shape": (
        [(b"", header()), *_slices(*ROWS, shape=(1, 1)), (b"t", _sliced(*ROWS))],
        "wrong dtype or shape",
    ),
    "key that only looks like a slice": ([(b"", header()), (b"\0../t", entry())], "belong to no tensor"),
}


@pytest.mark.parametrize(("items", "message"), WRONG.values(), ids=WRONG)
def test_it_is_refused_with_its_path_and_without_allocating(
    tmp_path: Path, items: list[tuple[bytes, bytes]], message: str
) -> None:
    prefix = write_raw(tmp_path / "variables", items)
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=message) as caught:
            BundleReader(prefix)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert str(prefix) in str(caught.value)
    assert caught.value.path is not None
    assert "; " in caught.value.message


def test_the_index_made_by_hand_is_right_before_it_is_made_wrong(tmp_path: Path) -> None:
    items = [(b"", header()), *_slices(*ROWS, offset=0)[:1], *_slices(*ROWS)[1:], (b"t", _sliced(*ROWS))]
    reader = BundleReader(write_raw(tmp_path / "variables", items))
    assert reader.entries["t"].is_sliced
    assert reader.read_rows("t", 0, 2).tolist() == [0, 0]


@given(st.binary(max_size=40), st.binary(max_size=20))
def test_any_message_is_read_or_refused(head: bytes, tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        for items in ([(b"", head), (b"t", entry())], [(b"", header()), (b"t", entry() + tail)]):
            with contextlib.suppress(BundleError):
                BundleReader(write_raw(Path(directory, "variables"), items)).verify_all()


def test_names_lead_to_no_other_file(tmp_path: Path) -> None:
    items = [(b"", header()), (b"../../etc/passwd", entry()), (b"/etc/passwd", entry(offset=8))]
    reader = BundleReader(write_raw(tmp_path / "variables", items))
    assert reader.read_rows("../../etc/passwd", 0, 2).tolist() == [0, 0]


def test_names_that_are_no_utf8_are_read_and_can_be_written_again(tmp_path: Path) -> None:
    reader = BundleReader(write_raw(tmp_path / "variables", [(b"", header()), (b"\xff\xfe", entry())]))
    (name,) = reader.entries
    assert name.encode("utf-8", "surrogateescape") == b"\xff\xfe"
