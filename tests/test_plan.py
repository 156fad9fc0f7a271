"""Plans are data: what they say about pieces, bands and mistakes, without a cluster."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodist_saved.bundle.slice_spec import Slice
from autodist_saved.errors import PlanError
from autodist_saved.plan import LogicalVariable, Piece, make_plan
from tests.support.plans import grid, partitioned


@given(partitioned(), st.integers(1, 400))
def test_bands_cover_every_element_once_and_in_order(variable: LogicalVariable, chunk_bytes: int) -> None:
    plan = make_plan([variable])
    (variable,) = plan.variables
    assert variable.shape is not None
    seen = np.zeros(variable.shape, int)
    next_row = 0
    for band in variable.bands(chunk_bytes):
        assert band.start == next_row
        next_row = band.stop
        for part in band.parts:
            top = part.piece.offset[0]
            rows = slice(top + part.start, top + part.stop)
            assert band.start <= rows.start < rows.stop <= band.stop
            rest = [slice(o, o + e) for o, e in zip(part.piece.offset[1:], part.piece.shape[1:], strict=True)]
            seen[(rows, *rest)] += 1
    assert next_row == variable.shape[0]
    assert (seen == 1).all()


@given(partitioned(), st.integers(1, 400))
def test_a_band_stays_below_the_chunk_unless_one_row_is_longer(variable: LogicalVariable, chunk_bytes: int) -> None:
    assert variable.shape is not None
    row_bytes = variable.nbytes // variable.shape[0]
    for band in variable.bands(chunk_bytes):
        assert (band.stop - band.start) * row_bytes <= max(chunk_bytes, row_bytes)


def test_a_scalar_is_one_band() -> None:
    scalar = LogicalVariable("step", "int64", (), (Piece(0, "ps:0", (), ()),))
    (band,) = make_plan([scalar]).variables[0].bands(8)
    assert [(part.start, part.stop) for part in band.parts] == [(0, 1)]


def test_a_variable_without_rows_has_no_band() -> None:
    empty = LogicalVariable("empty", "float32", (0, 4), (Piece(0, "ps:0", (0, 0), (0, 4)),))
    assert list(make_plan([empty]).variables[0].bands(8)) == []


def test_bytes_and_tasks_are_counted() -> None:
    plan = make_plan([grid((4, 2), ([1], []))])
    assert plan.nbytes == 32
    assert plan.tasks() == ("ps:0", "ps:1")
    assert [plan.variables[0].band_nbytes(band) for band in plan.variables[0].bands(24)] == [24, 8]


def test_variables_come_in_order_of_their_names() -> None:
    plan = make_plan([LogicalVariable(name, "bool", (), (Piece(0, "local", (), ()),)) for name in "cab"])
    assert [variable.name for variable in plan.variables] == ["a", "b", "c"]


def test_every_mistake_of_every_variable_is_reported_at_once() -> None:
    def variable(name: str, *pieces: Piece, dtype: str = "float32") -> LogicalVariable:
        return LogicalVariable(name, dtype, (4,), pieces)

    with pytest.raises(PlanError) as caught:
        make_plan(
            [
                variable("gap", Piece(0, "ps:0", (0,), (3,))),
                variable("overlap", Piece(0, "ps:0", (0,), (3,)), Piece(1, "ps:1", (2,), (2,))),
                variable("outside", Piece(0, "ps:0", (2,), (4,))),
                variable("handle", Piece(0, "ps:0", (0,), (4,)), dtype="resource"),
                variable("twice", Piece(0, "ps:0", (0,), (4,))),
                variable("twice", Piece(1, "ps:0", (0,), (4,))),
            ]
        )
    text = str(caught.value)
    assert "(5 problems)" in text
    assert "variable 'gap': its pieces hold 3 of 4 elements" in text
    assert "variable 'overlap': the pieces at [0] and [2] overlap" in text
    assert "variable 'outside': the piece [4] at [2] lies outside [4]" in text
    assert "variable 'handle': its dtype resource cannot be stored" in text
    assert "variable 'twice': two variables have this name" in text
    assert text.count("fix:") == 5


@given(partitioned(), st.data())
def test_a_lost_piece_is_always_noticed(variable: LogicalVariable, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, len(variable.pieces) - 1))
    pieces = variable.pieces[:lost] + variable.pieces[lost + 1 :]
    with pytest.raises(PlanError, match="elements"):
        make_plan([LogicalVariable(variable.name, variable.dtype, variable.shape, pieces)])


def packed(name: str, pack: int, at: int, elements: int) -> LogicalVariable:
    piece = Piece(at, "ps:0", (0,), (elements,), pack=pack, packed_at=at)
    return LogicalVariable(name, "float32", (elements,), (piece,))


def test_neighbours_in_a_pack_are_read_together_up_to_a_chunk() -> None:
    plan = make_plan(
        [packed("d", 1, 0, 3), packed("c", 1, 3, 3), packed("b", 1, 6, 3), packed("a", 2, 0, 3), grid((4,), ([2],))]
    )
    names = [[variable.name for variable in batch] for batch in plan.batches(24)]
    assert names == [["d", "c"], ["b"], ["a"]]
    assert [variable.name for variable in plan.unpacked()] == ["v"]


def test_small_variables_without_a_pack_are_read_together_up_to_a_chunk() -> None:
    of_four = [
        LogicalVariable(name, "float32", (4,), (Piece(at, "ps:0", (0,), (2,)), Piece(at + 1, "ps:1", (2,), (2,))))
        for at, name in ((0, "a"), (2, "b"), (4, "c"))
    ]
    others = [
        packed("packed", 1, 0, 3),
        LogicalVariable("large", "float32", (9,), (Piece(8, "ps:0", (0,), (9,)),)),
        LogicalVariable("words", "string", (2,), (Piece(9, "ps:0", (0,), (2,)),)),
        LogicalVariable("table", "int64", None, (Piece(10, "ps:0", (), ()),)),
    ]
    names = [[variable.name for variable in batch] for batch in make_plan([*of_four, *others]).small(32)]
    assert names == [["a", "b"], ["c"]]


def test_variables_of_types_that_tensorflow_does_not_slice_are_stored_in_slices() -> None:
    pieces = Piece(0, "ps:0", (0,), (3,)), Piece(1, "ps:1", (3,), (1,))
    half, whole, single = (
        LogicalVariable("half", "float16", (4,), pieces),
        LogicalVariable("whole", "float16", (4,), pieces, dense=True),
        LogicalVariable("single", "float16", (3,), pieces[:1]),
    )
    plan = make_plan([half, whole, single, LogicalVariable("float", "float32", (4,), pieces)])
    stored = {(one.name, one.shape, one.slice) for one in plan.stored.variables}
    assert stored == {
        ("half", (3,), Slice((4,), (0,), (3,))),
        ("half", (1,), Slice((4,), (3,), (1,))),
        *((name, (4,), None) for name in ("whole", "float")),
        ("single", (3,), None),
    }
    assert plan.stored.nbytes == plan.nbytes
    assert plan.stored.stored is plan.stored


def test_pieces_with_a_gap_between_them_are_read_apart() -> None:
    plan = make_plan([packed("a", 1, 0, 3), packed("c", 1, 6, 3)])
    assert [[variable.name for variable in batch] for batch in plan.batches(10**6)] == [["a"], ["c"]]


def test_a_variable_larger_than_a_chunk_is_a_batch_of_its_own() -> None:
    plan = make_plan([packed("a", 1, 0, 100), packed("b", 1, 100, 1)])
    assert [[variable.name for variable in batch] for batch in plan.batches(8)] == [["a"], ["b"]]
