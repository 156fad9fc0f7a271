"""Variables in pieces, for tests of what is done with them."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from autodist_saved.plan import LogicalVariable, Piece


def grid(shape: tuple[int, ...], cuts: tuple[list[int], ...]) -> LogicalVariable:
    """A float32 variable cut at ``cuts`` along each dimension."""
    spans = [list(itertools.pairwise([0, *at, extent])) for at, extent in zip(cuts, shape, strict=True)]
    pieces = tuple(
        Piece(index, f"ps:{index % 2}", tuple(a for a, _ in box), tuple(b - a for a, b in box))
        for index, box in enumerate(itertools.product(*spans))
    )
    return LogicalVariable("v", "float32", shape, pieces)


@st.composite
def partitioned(draw: st.DrawFn) -> LogicalVariable:
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    cuts = tuple(
        sorted(draw(st.sets(st.integers(1, extent - 1), max_size=3))) if extent > 1 else [] for extent in shape
    )
    return grid(shape, cuts)
