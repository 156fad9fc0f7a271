"""TensorFlow's text for a slice of a variable, as savers and their restore ops have it: ``8 4 0,5:0,4``.

First comes the shape of the variable. Then comes, for each dimension, where the slice begins and how long it is;
``-`` is all of the dimension.
"""

from __future__ import annotations

from typing import NamedTuple

Shape = tuple[int, ...]


class Slice(NamedTuple):
    """A rectangular part of a variable.

    Attributes:
        whole: shape of the variable.
        start: index of the slice's first element, one number per dimension.
        shape: extent of the slice, one number per dimension.
    """

    whole: Shape
    start: Shape
    shape: Shape

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the variable."""
        return self.shape == self.whole


def parse_slice_spec(text: str) -> Slice:
    """The slice that a text stands for. Raises ``ValueError`` for any other text."""
    *full, slices = text.split(" ")
    whole = tuple(map(int, full))
    extents = [
        (0, extent) if part == "-" else tuple(map(int, part.split(",")))
        for part, extent in zip(slices.split(":"), whole, strict=True)
    ]
    return Slice(whole, tuple(start for start, _ in extents), tuple(length for _, length in extents))


def slice_spec(part: Slice) -> str:
    """The text for a slice."""
    extents = ":".join(f"{start},{length}" for start, length in zip(part.start, part.shape, strict=True))
    return " ".join([*map(str, part.whole), extents])
