"""The double of a source: variables that are arrays of the test's own process."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from autodist_saved.plan import ExportPlan, LogicalVariable, Piece, make_plan
from autodist_saved.sources.source import Array, Source, Staged


class ArraySource(Source):
    """A source over arrays in memory."""

    def __init__(
        self, arrays: Mapping[str, Array], *, parts: int = 1, global_step: int | None = None, parked: bool = False
    ) -> None:
        """``parts``: pieces of each variable, along its first dimension. ``parked``: nothing is copied."""
        self.arrays = dict(arrays)
        self._parts = parts
        self._global_step = global_step
        self._parked = parked
        self._plan = self._make_plan()
        self._staged: dict[int, Array] | None = None

    def plan(self) -> ExportPlan:
        return self._plan

    def global_step(self) -> int | None:
        return self._global_step

    def stage(self, plan: ExportPlan) -> Staged:
        pieces = [
            (piece.index, self.arrays[variable.name][window_of(piece)])
            for variable in plan.variables
            for piece in variable.pieces
        ]
        self._staged = {index: array if self._parked else array.copy() for index, array in pieces}
        return Staged(plan, dict.fromkeys(plan.tasks(), "parked" if self._parked else "memory"))

    def read(self, piece: Piece, row_start: int, row_stop: int) -> Array:
        if self._staged is None:
            raise RuntimeError("stage() comes first")
        staged = self._staged[piece.index]
        return staged[row_start:row_stop] if piece.shape else staged

    def read_together(self, pieces: Sequence[Piece]) -> list[Array]:
        return [self.read(piece, 0, (piece.shape or (1,))[0]) for piece in pieces]

    def discard(self) -> None:
        self._staged = None

    @property
    def holds_copies(self) -> bool:
        """Whether staged copies take memory at this moment."""
        return self._staged is not None

    def _make_plan(self) -> ExportPlan:
        pieces = 0
        variables = []
        for name, array in self.arrays.items():
            bounds = _bounds(array.shape, self._parts)
            variables.append(
                LogicalVariable(
                    name,
                    "string" if array.dtype == object else array.dtype.name,
                    array.shape,
                    tuple(
                        Piece(
                            pieces + part,
                            f"ps:{part}",
                            (start, *[0] * (array.ndim - 1)),
                            (stop - start, *array.shape[1:]),
                        )
                        if array.ndim
                        else Piece(pieces + part, f"ps:{part}", (), ())
                        for part, (start, stop) in enumerate(bounds)
                    ),
                )
            )
            pieces += len(bounds)
        return make_plan(variables)


def window_of(piece: Piece) -> tuple[slice, ...]:
    """Where a piece lies in its variable's array."""
    return tuple(slice(start, start + extent) for start, extent in zip(piece.offset, piece.shape, strict=True))


def _bounds(shape: tuple[int, ...], parts: int) -> list[tuple[int, int]]:
    if not shape:
        return [(0, 1)]
    edges = [shape[0] * part // parts for part in range(parts + 1)]
    return list(itertools.pairwise(edges))
