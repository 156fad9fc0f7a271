"""The ops that copy every piece of a saver's variables, and that read the copies in parts.

The saver adds them to the graph when it is made, because a session's graph is final. A session runs them for those
pieces that no parameter server stages by itself. Each copy is a variable of ours, on the task that holds the piece,
in that task's ordinary memory. Copies hold memory during an export only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from autodist_saved.errors import PlanError, Problem
from autodist_saved.plan import ExportPlan, LogicalVariable, Piece, make_plan
from autodist_saved.sources.row_reads import Place, RowReads
from autodist_saved.transport.server_variable import ServerVariable


@dataclass(frozen=True)
class CopyOps:
    """The ops on one copy, which is a variable of ours and holds one piece or a pack of small ones.

    Attributes:
        stage: makes the copy.
        discard: frees it, if it is there.
        whole: reads all of it.
        rows: where rows of it are read by themselves; None where they cannot be.
        staged_shape: its shape, once it is staged; None where the plan has the shape.
    """

    stage: tf.Operation
    discard: tf.Operation
    whole: tf.Tensor
    rows: Place | None
    staged_shape: tf.Tensor | None


@dataclass(frozen=True)
class StagedPiece:
    """One piece, and where its copy is.

    Attributes:
        name: full name of the logical variable.
        dtype: its element type.
        full_shape, offset, shape: as in :mod:`autodist_saved.plan`; None where only the running job knows them.
        task: the task that holds piece and copy.
        copy: number of its copy in :attr:`StagingOps.copies`.
        packed_at: where its elements begin in a flat copy of several pieces; None where it has a copy to itself.
        variable: the parameter server's name for it; None for what no parameter server can name.
        node: name of the graph node that holds it; None for what is no plain variable.
        is_slice: whether a partitioner made it, even if it is the only slice of the variable.
    """

    name: str
    dtype: str
    full_shape: tuple[int, ...] | None
    offset: tuple[int, ...]
    shape: tuple[int, ...] | None
    task: str
    copy: int
    packed_at: int | None = None
    variable: ServerVariable | None = None
    node: str | None = None
    is_slice: bool = False


@dataclass(frozen=True)
class StagingOps:
    """All ops of one saver. ``stage`` and ``discard`` are for all copies together, and ``reads`` for some each."""

    pieces: tuple[StagedPiece, ...]
    copies: tuple[CopyOps, ...]
    stage: tf.Operation
    discard: tf.Operation
    reads: tuple[RowReads, ...]

    @cached_property
    def plan(self) -> ExportPlan:
        """The plan of the pieces, made once. Raises ``PlanError``."""
        by_name: dict[str, list[int]] = {}
        for index, piece in enumerate(self.pieces):
            by_name.setdefault(piece.name, []).append(index)
        return make_plan(self._variable(name, indices) for name, indices in by_name.items())

    def held_by_servers(self, plan: ExportPlan) -> dict[str, list[tuple[Piece, ServerVariable]]]:
        """For each parameter server the pieces of a plan that it can name, in the plan's order of places."""
        return self._held_of_all if plan is self.plan else self._find_held(plan)

    @cached_property
    def _held_of_all(self) -> dict[str, list[tuple[Piece, ServerVariable]]]:
        return self._find_held(self.plan)

    def _find_held(self, plan: ExportPlan) -> dict[str, list[tuple[Piece, ServerVariable]]]:
        held: dict[str, list[tuple[Piece, ServerVariable]]] = {}
        for logical in plan.by_place:
            for piece in logical.pieces:
                variable = self.pieces[piece.index].variable
                if variable is not None:
                    held.setdefault(piece.task, []).append((piece, variable))
        return held

    def _variable(self, name: str, indices: Sequence[int]) -> LogicalVariable:
        first = self.pieces[indices[0]]
        of_pieces = {(self.pieces[index].dtype, self.pieces[index].full_shape) for index in indices}
        if len(of_pieces) > 1:
            what = f"its pieces say different things of the whole: {sorted(map(str, of_pieces))}"
            fix = "give all pieces the same slice info and dtype, as a partitioner does"
            raise PlanError("the variables cannot be exported", problems=[Problem(f"variable {name!r}", what, fix)])
        pieces = tuple(
            Piece(
                index,
                piece.task,
                piece.offset,
                piece.shape or (),
                pack=None if piece.packed_at is None else piece.copy,
                packed_at=piece.packed_at or 0,
            )
            for index, piece in ((index, self.pieces[index]) for index in indices)
        )
        return LogicalVariable(name, first.dtype, first.full_shape, pieces)
