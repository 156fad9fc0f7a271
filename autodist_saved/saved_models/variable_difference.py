"""Compares the variables of two models: their names, dtypes and shapes, and how far their values differ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodist_saved.bundle import BundleReader, Entry
from autodist_saved.saved_models.changes import Changes

_ELEMENTS_AT_ONCE = 2**18


@dataclass(frozen=True)
class ValueChange:
    """How far the values of a variable differ between two models A and B.

    Attributes:
        name, dtype, shape: of the variable, the same in both models.
        elements: number of elements that differ. NaN equals NaN.
        relative: the L2 norm of B - A divided by the L2 norm of A. Infinite if all of A is zero, or if a difference
            is infinite or NaN. 0 for strings, which have no distance.
        largest: the largest absolute difference of two elements, computed in float64; 0 for strings.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    relative: float = 0.0
    largest: float = 0.0


@dataclass(frozen=True)
class VariableDifference:
    """The differences between the variables of two models. Its truth value is false if there are none.

    Attributes:
        names: names of variables; changed if dtype or shape differ.
        values: variables whose values differ, the largest relative change first.
    """

    names: Changes
    values: tuple[ValueChange, ...]

    def __bool__(self) -> bool:
        return bool(self.names or self.values)


def compare_variables(a: BundleReader | None, b: BundleReader | None) -> VariableDifference:
    """Compare all variables. Holds one row, or at most 2**18 elements, of one variable of each model at a time.

    Two variables with equal sizes and equal checksums count as equal and are not read.

    Raises:
        BundleError: the bytes of a variable are damaged.
        UnreadableError: a data file cannot be read.
    """
    in_a, in_b = ({} if reader is None else reader.entries for reader in (a, b))
    names = Changes.between(*({name: (one.dtype, one.shape) for name, one in side.items()} for side in (in_a, in_b)))
    changes = []
    if a is not None and b is not None:
        alike = sorted((in_a.keys() & in_b.keys()) - set(names.changed))
        changes = [_compare(in_a[name], a, b) for name in alike if _bytes(in_a[name]) != _bytes(in_b[name])]
    found = [change for change in changes if change.elements]
    return VariableDifference(
        names, tuple(sorted(found, key=lambda change: (-change.relative, -change.largest, change.name)))
    )


def _bytes(entry: Entry) -> list[tuple[Any, ...]]:
    """What differs between entries of the same dtype and shape if their bytes differ."""
    return [(part.start, part.shape, part.nbytes, part.crc32c) for part in entry.parts]


def _compare(entry: Entry, a: BundleReader, b: BundleReader) -> ValueChange:
    elements, squares, reference, largest = 0, 0.0, 0.0, 0.0
    for start, stop in _bands(entry):
        ours, theirs = (reader.read_rows(entry.name, start, stop).reshape(-1) for reader in (a, b))
        differs = (ours != theirs) & ~((ours != ours) & (theirs != theirs))  # only NaN is not equal to itself
        elements += int(np.count_nonzero(differs))
        if entry.dtype == "string":
            continue
        far = _distances(ours[differs], theirs[differs])
        reference += _sum_of_squares(_absolute(ours))
        squares += _sum_of_squares(far)
        largest = max(largest, float(far.max(initial=0.0)))
    return ValueChange(entry.name, entry.dtype, entry.shape, elements, _ratio(squares, reference), largest)


def _ratio(squares: float, reference: float) -> float:
    if not squares:
        return 0.0
    return math.sqrt(squares / reference) if reference and math.isfinite(squares) else math.inf


def _bands(entry: Entry) -> Iterator[tuple[int, int]]:
    rows = entry.shape[0] if entry.shape else 1
    if entry.dtype == "string":
        yield 0, rows  # the reader reads all strings of a tensor in any case
        return
    step = max(1, _ELEMENTS_AT_ONCE // max(1, math.prod(entry.shape[1:])))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def _absolute(values: NDArray[Any]) -> NDArray[np.float64]:
    """The absolute values of the finite elements."""
    wide: NDArray[np.float64] = np.abs(values.astype(_wide(values))).astype(np.float64)
    return wide[np.isfinite(wide)]


def _distances(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
    """Absolute differences; infinite if one of two elements is NaN or infinite."""
    wide = _wide(ours)
    with np.errstate(over="ignore", invalid="ignore"):
        far: NDArray[np.float64] = np.abs(theirs.astype(wide) - ours.astype(wide)).astype(np.float64)
    far[np.isnan(far)] = np.inf
    return far


def _wide(values: NDArray[Any]) -> type[np.complex128 | np.float64]:
    return np.complex128 if values.dtype.kind == "c" else np.float64


def _sum_of_squares(values: NDArray[np.float64]) -> float:
    with np.errstate(over="ignore"):
        return float(np.sum(np.square(values)))
