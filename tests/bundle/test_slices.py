from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from autodist_saved.bundle.bundle_pb2 import TensorSliceProto
from autodist_saved.bundle.damage import Damage
from autodist_saved.bundle.entry import Part
from autodist_saved.bundle.slices import check_cover, decode_slice, slice_key
from autodist_saved.bundle.table import read_table
from tests.support.bundles import save_with_tensorflow

STARTS = [0, 1, 63, 64, 127, 128, 8191, 8192, 2**20 - 1, 2**20, 2**27, 2**34, 2**41, 2**48, 2**55 - 1, 2**55]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", ["emb", "a\x00b", "é/ÿ", "x" * 200])
def test_keys_are_those_that_tensorflow_writes(tmp_path: Path, name: str, start: int) -> None:
    save_with_tensorflow(tmp_path / "c", {name: np.zeros((2, 3, 1), "i1")}, {name: f"{2**57} 3 9 {start},2:-:7,1"})
    (key,) = (key for key, _ in read_table((tmp_path / "c.index").read_bytes()) if key.startswith(b"\0"))
    assert key == slice_key(name.encode(), [(start, 2), (0, -1), (7, 1)])


def test_bytes_that_end_or_escape_a_name_are_escaped() -> None:
    assert slice_key(b"a\0\xff", [(-65, -1)]) == b"\0a\0\xff\xff\0\0\1\1\1\x3f\xbf\x7f"


def _slice(*extents: tuple[int, int | None]) -> TensorSliceProto:
    return TensorSliceProto(extent=[{"start": start, "length": length} for start, length in extents])


def test_a_slice_tells_its_start_and_shape() -> None:
    extents, start, shape = decode_slice("t", _slice((2, 3), (0, None)), (5, 7))
    assert (list(extents), start, shape) == ([(2, 3), (0, -1)], (2, 0), (3, 7))


@pytest.mark.parametrize(
    "extents",
    [[(0, 6), (0, 7)], [(5, 1), (0, 7)], [(-1, 2), (0, 7)], [(0, -2), (0, 7)], [(1, None), (0, 7)], [(0, 5)]],
    ids=str,
)
def test_a_slice_outside_its_tensor_is_refused(extents: list[tuple[int, int | None]]) -> None:
    with pytest.raises(Damage, match="lies outside its shape"):
        decode_slice("t", _slice(*extents), (5, 7))


def _parts(*places: tuple[tuple[int, ...], tuple[int, ...]]) -> list[Part]:
    return [Part(start, shape, 0, 0, 0, 0) for start, shape in places]


def test_rows_columns_and_grids_cover() -> None:
    check_cover("t", (4, 6), _parts(((0, 0), (1, 6)), ((1, 0), (3, 6))))
    check_cover("t", (4, 6), _parts(((0, 0), (4, 5)), ((0, 5), (4, 1)), ((0, 6), (4, 0))))
    corners = [((row, column), (2, 3)) for row, column in itertools.product((0, 2), (0, 3))]
    check_cover("t", (4, 6), _parts(*corners))
    check_cover("t", (0, 6), _parts(((0, 0), (0, 6))))


def test_ten_thousand_slices_are_checked_at_once() -> None:
    check_cover("t", (10_000, 2), _parts(*(((row, 0), (1, 2)) for row in range(10_000))))
    check_cover("t", (2, 10_000), _parts(*(((0, column), (2, 1)) for column in range(10_000))))


def test_an_overlap_is_found_in_any_order_of_slices() -> None:
    with pytest.raises(Damage, match=r"\[0\] and \[1\] overlap"):
        check_cover("t", (6,), _parts(((0,), (2,)), ((4,), (2,)), ((1,), (2,))))


def test_a_gap_and_an_overlap_are_told() -> None:
    with pytest.raises(Damage, match="do not add up"):
        check_cover("t", (4, 6), _parts(((0, 0), (3, 6))))
    with pytest.raises(Damage, match=r"\[0, 0\] and \[1, 0\] overlap"):
        check_cover("t", (4, 6), _parts(((0, 0), (2, 6)), ((1, 0), (2, 6))))
