from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_many_slices_are_checked_without_comparing_each_with_each() -> None:
    """Comparing all pairs takes longer than any test may: half of them are columns, and the others rows beside."""
    many = 50_000
    columns = [((0, column), (many, 1)) for column in range(many)]
    rows = [((row, many), (1, many)) for row in range(many)]
    check_cover("t", (many, 2 * many), _parts(*columns, *rows))
    with pytest.raises(Damage, match=r"overlap at \[2, 49999\]"):
        check_cover("t", (many, 2 * many), _parts(*columns, *rows[:2], ((2, many - 1), (1, many)), *rows[3:]))


def test_slices_along_many_dimensions_are_refused_and_not_counted() -> None:
    halves = [(tuple(corner), (1,) * 18) for corner in itertools.product((0, 1), repeat=18)]
    with pytest.raises(Damage, match="slices along 18 dimensions, which are too many"):
        check_cover("t", (2,) * 18, _parts(*halves))


def test_an_overlap_is_found_in_any_order_of_slices() -> None:
    with pytest.raises(Damage, match=r"overlap at \[1\]"):
        check_cover("t", (6,), _parts(((0,), (2,)), ((4,), (2,)), ((1,), (2,))))


def test_a_gap_and_an_overlap_are_told() -> None:
    with pytest.raises(Damage, match="do not add up"):
        check_cover("t", (4, 6), _parts(((0, 0), (3, 6))))
    with pytest.raises(Damage, match=r"overlap at \[1, 0\]"):
        check_cover("t", (4, 6), _parts(((0, 0), (2, 6)), ((1, 0), (2, 6))))
    with pytest.raises(Damage, match=r"leave a gap at \[0, 1, 0\]"):
        check_cover("t", (2, 2, 5), _parts(((0, 0, 0), (1, 1, 5)), ((1, 0, 0), (1, 2, 5)), ((1, 1, 0), (1, 1, 5))))


@given(data=st.data())
def test_what_covers_is_what_counting_elements_says(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    boxes = st.tuples(
        *(
            st.integers(0, whole - 1).flatmap(lambda at, n=whole: st.tuples(st.just(at), st.integers(1, n - at)))
            for whole in shape
        )
    )
    parts = _parts(*(tuple(zip(*box, strict=True)) for box in data.draw(st.lists(boxes, max_size=6))))
    counts = np.zeros(shape, int)
    for part in parts:
        counts[tuple(slice(at, at + n) for at, n in zip(part.start, part.shape, strict=True))] += 1
    if (counts == 1).all():
        check_cover("t", shape, parts)
    else:
        with pytest.raises(Damage, match="do not add up|overlap at|leave a gap at"):
            check_cover("t", shape, parts)
