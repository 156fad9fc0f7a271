"""Parts of variables, and what they are together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autodist_saved.graph.folding.region import Region, joined


def part(offset: tuple[int, ...], shape: tuple[int, ...], variable: str = "table") -> Region:
    return Region(variable, "float32", (6, 4), offset, shape)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.sampled_from([0, 1, -1, -2]))
def test_neighbours_in_their_order_are_joined(extents: list[int], axis: int) -> None:
    whole = [4, 4]
    whole[axis] = sum(extents)
    regions, at = [], 0
    for extent in extents:
        offset, shape = [0, 0], list(whole)
        offset[axis], shape[axis] = at, extent
        regions.append(Region("table", "float32", tuple(whole), tuple(offset), tuple(shape)))
        at += extent
    region = joined(regions, axis)
    assert region is not None
    assert region.is_whole
    assert len(regions) == 1 or joined(regions[::-1], axis) is None
    assert len(regions) < 3 or joined([regions[0], *regions[2:]], axis) is None


def test_what_does_not_lie_side_by_side_is_no_region() -> None:
    first = part((0, 0), (3, 2))
    assert joined([first, part((3, 0), (3, 2))], 0) == part((0, 0), (6, 2))
    assert joined([first, part((3, 2), (3, 2))], 0) is None
    assert joined([first, part((3, 0), (3, 1))], 0) is None
    assert joined([first, part((3, 0), (3, 2), "other")], 0) is None
    assert joined([first, part((3, 0), (3, 2))], 2) is None
