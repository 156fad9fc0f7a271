"""The export plan: which logical variables exist, which pieces they consist of, and which task holds each piece.

A logical variable is what the user created: one whole tensor. The job holds it in pieces, each on one task: one piece
for an unpartitioned variable, several for a partitioned one. A plan is plain data; nothing here touches a session.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from autodist_saved.bundle.dtypes import item_bytes
from autodist_saved.bundle.restorable import is_sliced_when_restored
from autodist_saved.bundle.slice_spec import Slice
from autodist_saved.errors import PlanError, Problem

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """A rectangular part of a logical variable, held by one task.

    Attributes:
        index: position of the piece in its source, which identifies it there.
        task: ``ps:0``, ``worker:1``, ...; ``local`` in a process without a cluster.
        offset: where the piece begins in the logical variable, in elements, one number per dimension.
        shape: extent of the piece in elements, one number per dimension.
        pack: number of the pack that contains the piece; None for a piece that is read by itself. The pieces of a
            pack lie one after the other in one flat copy, so that neighbours can be read together. A piece in a
            pack is always a whole variable.
        packed_at: where the piece begins in its pack, in elements.
    """

    index: int
    task: str
    offset: Shape
    shape: Shape
    pack: int | None = None
    packed_at: int = 0


@dataclass(frozen=True)
class LogicalVariable:
    """One whole variable as its user knows it.

    Attributes:
        name: checkpoint key, such as ``emb/tailnum`` or ``emb/tailnum/Adam``.
        dtype: name of the element type, such as ``float32`` or ``string``.
        shape: full shape in elements; None for a table, whose shape is known only after staging.
        pieces: its pieces, ordered by offset. Together they cover the shape.
        value_of: name of the job's variable that holds these pieces, if its value is written under another name (a
            moving average, for example); else None.
        dense: whether it is written as a whole in any case, for a graph that reads it as a whole.
    """

    name: str
    dtype: str
    shape: Shape | None
    pieces: tuple[Piece, ...]
    value_of: str | None = None
    dense: bool = False

    @property
    def slice(self) -> Slice | None:
        """Which slice of the variable this is, if it is a :class:`VariableSlice`."""
        return None

    @property
    def in_slices(self) -> bool:
        """Whether its pieces are written as slices.

        TensorFlow restores no slices of some types out of a whole entry. A graph that has the variable in pieces
        could not read it.
        """
        is_shared = len(self.pieces) > 1 and math.prod(self.shape or ()) > 0
        return is_shared and not self.dense and not is_sliced_when_restored(self.dtype)

    def slices(self) -> Iterator[VariableSlice]:
        """Its pieces, each as a slice that is written by itself. Only for variables whose shape is known."""
        whole = self.shape or ()
        for piece in filter(lambda piece: math.prod(piece.shape), self.pieces):
            alone = replace(piece, offset=(0,) * len(piece.shape))
            part = Slice(whole, piece.offset, piece.shape)
            yield VariableSlice(self.name, self.dtype, piece.shape, (alone,), self.value_of, dense=True, part=part)

    @property
    def key(self) -> tuple[str, Slice | None]:
        """What distinguishes it in what is written: its name, and the slice if it is one."""
        return self.name, self.slice

    @property
    def value(self) -> str:
        """Name of the job's variable whose value this is: ``value_of``, or else the variable's own name."""
        return self.value_of or self.name

    @property
    def nbytes(self) -> int:
        """Bytes of the whole variable; 0 if they are not known in advance (strings, unknown shapes)."""
        if self.shape is None:
            return 0
        return math.prod(self.shape) * (item_bytes(self.dtype) or 0)

    def band_nbytes(self, band: Band) -> int:
        """Bytes of one band; 0 if they are not known in advance."""
        return self.nbytes * (band.stop - band.start) // max(1, *(self.shape or (1,))[:1])

    def with_shape(self, shape: Shape) -> LogicalVariable:
        """The same variable with the shape that was found when it was staged. Only for variables of one piece."""
        (piece,) = self.pieces
        piece = replace(piece, offset=(0,) * len(shape), shape=shape)
        return replace(self, shape=shape, pieces=(piece,))

    def bands(self, chunk_bytes: int) -> Iterator[Band]:
        """Split the variable into bands of whole rows, to be read and written one after the other.

        A row is all elements with the same index in the first dimension. A band has as many rows as fit into
        ``chunk_bytes``, and at least one. Bands come in row-major order and cover the variable exactly. A scalar is
        one band with one row.

        Raises:
            PlanError: the shape is not known yet.
        """
        if self.shape is None:
            raise PlanError(f"{self.name!r} has no shape yet; stage it first")
        if not self.shape:
            yield Band(0, 1, tuple(PieceRows(piece, 0, 1) for piece in self.pieces))
            return
        row_bytes = max(1, self.nbytes // max(1, self.shape[0]))
        rows_per_band = max(1, chunk_bytes // row_bytes)
        for start in range(0, self.shape[0], rows_per_band):
            stop = min(start + rows_per_band, self.shape[0])
            yield Band(start, stop, tuple(self._rows_of_pieces(start, stop)))

    def _rows_of_pieces(self, start: int, stop: int) -> Iterator[PieceRows]:
        for piece in self.pieces:
            top, bottom = piece.offset[0], piece.offset[0] + piece.shape[0]
            first, last = max(start, top), min(stop, bottom)
            if first < last:
                yield PieceRows(piece, first - top, last - top)


@dataclass(frozen=True)
class VariableSlice(LogicalVariable):
    """A slice of a logical variable that is written by itself. Shape and pieces are those of the slice.

    Attributes:
        part: where it lies in the variable.
    """

    part: Slice = field(kw_only=True)

    @property
    def slice(self) -> Slice:
        return self.part


@dataclass(frozen=True)
class PieceRows:
    """Rows ``start`` to ``stop`` of a piece, counted from the piece's own first row."""

    piece: Piece
    start: int
    stop: int

    def window(self, band: Band) -> tuple[slice, ...]:
        """The slices that select these rows in an array with the band's shape."""
        if not self.piece.shape:
            return ()
        first = self.piece.offset[0] + self.start - band.start
        others = zip(self.piece.offset[1:], self.piece.shape[1:], strict=True)
        return (slice(first, first + self.stop - self.start), *(slice(at, at + extent) for at, extent in others))


@dataclass(frozen=True)
class Band:
    """Rows ``start`` to ``stop`` of a logical variable, and the rows of its pieces that they consist of."""

    start: int
    stop: int
    parts: tuple[PieceRows, ...]


@dataclass(frozen=True)
class ExportPlan:
    """All logical variables of an export, ordered by name."""

    variables: tuple[LogicalVariable, ...]

    @cached_property
    def stored(self) -> ExportPlan:
        """The plan of what is written: slices stand for variables that are written in slices."""
        if not any(variable.in_slices for variable in self.variables):
            return self
        return ExportPlan(
            tuple(
                one
                for variable in self.variables
                for one in (variable.slices() if variable.in_slices else (variable,))
            )
        )

    @cached_property
    def by_place(self) -> tuple[LogicalVariable, ...]:
        """The variables as their source holds them: ordered by task, then by pack and by place in the pack."""
        return tuple(sorted(self.variables, key=_place_of))

    @cached_property
    def nbytes(self) -> int:
        """Bytes of all variables whose size is known in advance."""
        return sum(variable.nbytes for variable in self.variables)

    def unpacked(self) -> tuple[LogicalVariable, ...]:
        """The variables that are in no pack."""
        return tuple(variable for variable in self.variables if _pack_of(variable) is None)

    def small(self, chunk_bytes: int) -> Iterator[tuple[LogicalVariable, ...]]:
        """The variables that are in no pack and fit into ``chunk_bytes``, in batches that fit, too.

        Variables whose bytes are not known in advance are not among them.
        """
        batch: list[LogicalVariable] = []
        for variable in self.by_place:
            if _pack_of(variable) is not None or not 0 < variable.nbytes <= chunk_bytes:
                continue
            if batch and sum(one.nbytes for one in batch) + variable.nbytes > chunk_bytes:
                yield tuple(batch)
                batch = []
            batch.append(variable)
        if batch:
            yield tuple(batch)

    def batches(self, chunk_bytes: int) -> Iterator[tuple[LogicalVariable, ...]]:
        """The variables that are in packs, in batches that are read together.

        The variables of a batch are neighbours in one pack and have at most ``chunk_bytes`` together. A larger
        variable is a batch of its own.
        """
        packed = [variable for variable in self.by_place if _pack_of(variable) is not None]
        batch: list[LogicalVariable] = []
        for variable in packed:
            nbytes = sum(one.nbytes for one in batch)
            if batch and (not _are_neighbours(batch[-1], variable) or nbytes + variable.nbytes > chunk_bytes):
                yield tuple(batch)
                batch = []
            batch.append(variable)
        if batch:
            yield tuple(batch)

    def tasks(self) -> tuple[str, ...]:
        """The tasks that hold pieces, each once, sorted."""
        return tuple(sorted({piece.task for variable in self.variables for piece in variable.pieces}))


def _place_of(variable: LogicalVariable) -> tuple[str, int, int, str]:
    if not variable.pieces:
        return "", -1, 0, variable.name
    first = variable.pieces[0]
    return first.task, -1 if first.pack is None else first.pack, first.packed_at, variable.name


def _pack_of(variable: LogicalVariable) -> int | None:
    return variable.pieces[0].pack if variable.pieces else None


def _are_neighbours(first: LogicalVariable, second: LogicalVariable) -> bool:
    here, there = first.pieces[0], second.pieces[0]
    return here.pack == there.pack and here.packed_at + math.prod(here.shape) == there.packed_at


def make_plan(variables: Iterable[LogicalVariable]) -> ExportPlan:
    """Check the variables against each other and order them by name.

    Raises:
        PlanError: two variables have the same name; or pieces overlap, leave a gap or lie outside the variable's
            shape; or a dtype cannot be stored. It lists all problems.
    """
    ordered = tuple(
        replace(variable, pieces=tuple(sorted(variable.pieces, key=lambda piece: piece.offset)))
        for variable in sorted(variables, key=lambda variable: variable.name)
    )
    problems = [problem for variable in ordered for problem in _problems_of(variable)]
    for first, second in itertools.pairwise(ordered):
        if first.name == second.name:
            problems.append(Problem(f"variable {first.name!r}", "two variables have this name", "rename one of them"))
    if problems:
        raise PlanError("the variables cannot be exported as they are", problems=problems)
    return ExportPlan(ordered)


def _problems_of(variable: LogicalVariable) -> Iterator[Problem]:
    place = f"variable {variable.name!r}"
    if variable.name[:1] in {"", "\0"}:
        # In a tensor bundle the empty key is the header's, and keys of slices begin with NUL.
        yield Problem(place, "its name is empty or begins with NUL", "rename it")
    fix = "give the Saver all pieces of the variable, each once, as its partitioner made them"
    if item_bytes(variable.dtype) is None and variable.dtype != "string":
        yield Problem(place, f"its dtype {variable.dtype} cannot be stored", "leave it out of the Saver's var_list")
        return
    shape = variable.shape
    if shape is None:
        if len(variable.pieces) != 1:
            yield Problem(place, "it is partitioned but its shape is unknown", fix)
        return
    for piece in variable.pieces:
        fits = len(piece.offset) == len(piece.shape) == len(shape) and all(
            offset >= 0 and offset + extent <= whole
            for offset, extent, whole in zip(piece.offset, piece.shape, shape, strict=True)
        )
        if not fits:
            yield Problem(
                place,
                f"the piece {list(piece.shape)} at {list(piece.offset)} lies outside {list(shape)}",
                fix,
            )
            return
    for first, second in _overlapping(variable.pieces):
        yield Problem(place, f"the pieces at {list(first.offset)} and {list(second.offset)} overlap", fix)
        return
    covered = sum(math.prod(piece.shape) for piece in variable.pieces)
    if covered != math.prod(shape):
        yield Problem(place, f"its pieces hold {covered} of {math.prod(shape)} elements", fix)


def _overlapping(pieces: tuple[Piece, ...]) -> Iterator[tuple[Piece, Piece]]:
    """Pairs of pieces that have an element in common. ``pieces`` must be ordered by offset."""
    for position, first in enumerate(pieces):
        for second in pieces[position + 1 :]:
            if first.offset and second.offset[0] >= first.offset[0] + first.shape[0]:
                break
            if all(
                max(a, b) < min(a + x, b + y)
                for a, x, b, y in zip(first.offset, first.shape, second.offset, second.shape, strict=True)
            ):
                yield first, second
