"""Regions: rectangular parts of variables, and the nodes that hold them. Plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autodist_saved.plan import Shape


@dataclass(frozen=True)
class Region:
    """A rectangular part of a variable, perhaps all of it.

    Attributes:
        variable: the variable's name.
        dtype: name of its element type.
        whole: shape of the variable.
        offset: index of the part's first element, one number per dimension.
        shape: extent of the part, one number per dimension.
    """

    variable: str
    dtype: str
    whole: Shape
    offset: Shape
    shape: Shape

    @property
    def end(self) -> Shape:
        """One more than the index of the part's last element, one number per dimension."""
        return tuple(at + extent for at, extent in zip(self.offset, self.shape, strict=True))

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the variable."""
        return self.shape == self.whole

    @property
    def has_whole_rows(self) -> bool:
        """Whether its rows are whole rows of the variable."""
        return self.shape[1:] == self.whole[1:]

    @property
    def columns(self) -> Region:
        """All rows of the variable, in the part's extent of the other dimensions."""
        return replace(self, offset=(0, *self.offset[1:]), shape=(*self.whole[:1], *self.shape[1:]))


def joined(regions: Sequence[Region], axis: int) -> Region | None:
    """The region that regions make when they are concatenated along an axis; None where they make none."""
    whole = regions[0]
    axis += len(whole.shape) if axis < 0 else 0
    if not 0 <= axis < len(whole.shape):
        return None
    for region in regions[1:]:
        offset = _replaced(whole.offset, axis, whole.end[axis])
        if region != replace(whole, offset=offset, shape=_replaced(whole.shape, axis, region.shape[axis])):
            return None
        whole = replace(whole, shape=_replaced(whole.shape, axis, whole.shape[axis] + region.shape[axis]))
    return whole


def _replaced(numbers: Shape, axis: int, number: int) -> Shape:
    return (*numbers[:axis], number, *numbers[axis + 1 :])


@dataclass(frozen=True)
class Holder:
    """A node of the graph that holds a saved variable, or a piece of one.

    Attributes:
        node: its name.
        variable: the variable's name, its key in ``variables/``.
        piece: the part that it holds, if a partitioner made the node, even if the part is the whole variable; None
            for any other variable.
    """

    node: str
    variable: str
    piece: Region | None = None
