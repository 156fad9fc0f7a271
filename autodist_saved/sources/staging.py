"""The ops that copy every piece of a saver's variables beside itself and let the copies be read in parts.

They are made once, when the saver is made, because a session's graph is final, and run for those pieces that no
parameter server stages by itself. For every piece there is a variable of ours, its copy, on the task that holds the
piece and in that task's ordinary memory. No copy holds memory outside an export.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved import tensorflow_private
from autodist_saved.errors import PlanError, Problem
from autodist_saved.plan import ExportPlan, LogicalVariable, Piece, make_plan
from autodist_saved.sources.containers import memory_of, own_container
from autodist_saved.sources.rows import has_rows
from autodist_saved.sources.server_variables import holding_op, server_variable_of
from autodist_saved.transport.server_variable import ServerVariable

# Smaller variables are copied into one with their neighbours: a thousand reads would take longer than their bytes.
PACK_BELOW_BYTES = 2**18
# TensorFlow's graph optimizers take a time that grows with the square of an op's inputs.
PACK_MEMBERS_MAX = 64


@dataclass(frozen=True)
class Copy:
    """A variable of ours beside the pieces that it is a copy of, and the ops on it.

    Attributes:
        stage: makes the copy.
        discard: frees it, whether it is there or not.
        whole: all of it.
        rows: a window of its rows; None where there are none to read by themselves.
        staged_shape: its shape, known once it is staged; None where the plan tells it.
    """

    stage: tf.Operation
    discard: tf.Operation
    whole: tf.Tensor
    rows: tf.Tensor | None
    staged_shape: tf.Tensor | None


@dataclass(frozen=True)
class StagedPiece:
    """One piece, and where its copy is.

    Attributes:
        name: full name of the logical variable.
        dtype: its element type.
        full_shape, offset, shape: as in :mod:`autodist_saved.plan`; None where the running job alone knows.
        task: the task that holds piece and copy.
        copy: number of its copy in :attr:`Staging.copies`.
        packed_at: where its elements begin in the copy, which is flat and holds several pieces then; else None.
        variable: how the parameter server that holds it can name it; None for what is no variable of one.
        node: name of the graph's node that holds it; None for what is no plain variable.
        is_slice: whether a partitioner made it, be it all of the variable.
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
class Staging:
    """All ops of one saver. ``stage`` and ``discard`` are for all copies together.

    There is one copy of each piece, so ``busy`` is held by the one export that may use it.
    """

    pieces: tuple[StagedPiece, ...]
    copies: tuple[Copy, ...]
    stage: tf.Operation
    discard: tf.Operation
    row_start: tf.Tensor
    row_count: tf.Tensor
    busy: threading.Lock = field(default_factory=threading.Lock, compare=False)

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


class _RowWindow:
    """Two numbers fed to every partial read, and the slice arguments made of them, once for each rank."""

    def __init__(self) -> None:
        self.start = v1.placeholder(tf.int64, [], "row_start")
        self.count = v1.placeholder(tf.int64, [], "row_count")
        self._by_rank: dict[int, tuple[tf.Tensor, tf.Tensor]] = {}

    def of(self, value: tf.Tensor) -> tf.Tensor:
        """The window's rows of a tensor that is no scalar; its rank may be unknown until it is read."""
        rank = value.shape.rank
        if rank is None:
            return tf.slice(value, *self._bounds(tf.cast(tf.rank(value), tf.int64)))
        if rank not in self._by_rank:
            with tf.device(None):
                self._by_rank[rank] = self._bounds(tf.constant(rank, tf.int64))
        return tf.slice(value, *self._by_rank[rank])

    def _bounds(self, rank: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        others = tf.expand_dims(rank - 1, 0)
        return (
            tf.concat([[self.start], tf.zeros(others, tf.int64)], 0),
            tf.concat([[self.count], tf.fill(others, tf.constant(-1, tf.int64))], 0),
        )


def build_staging(saveables: Iterable[Any], scope: str) -> Staging:
    """Add the ops to the default graph, in the scope that is open. Called by every task, once a saver.

    Args:
        saveables: TensorFlow's ``SaveableObject`` of everything that the saver saves.
        scope: name of the open scope.
    """
    window = _RowWindow()
    saved = [(saveable, spec) for saveable in saveables for spec in saveable.specs]
    values = [_Value.of(spec) for _, spec in saved]
    names = f"{scope}{own_container()}/copy_"
    copies: list[Copy] = []
    pieces: dict[int, StagedPiece] = {}
    for members in _packs(values):
        dtype, memory = values[members[0]].tensor.dtype.base_dtype, values[members[0]].memory
        with tf.device(memory):
            flat = tf.concat([values[index].flat() for index in members], 0)
            copies.append(_copy(flat, dtype, f"{names}{len(copies)}", window))
        at = 0
        for index in members:
            pieces[index] = values[index].piece(*saved[index], len(copies) - 1, packed_at=at)
            at += values[index].length
    for index, value in enumerate(values):
        if index not in pieces:
            with tf.device(value.memory):
                copy = _copy(
                    value.settled(),
                    value.tensor.dtype.base_dtype,
                    f"{names}{len(copies)}",
                    window,
                )
            copies.append(copy)
            pieces[index] = value.piece(*saved[index], len(copies) - 1)
    return Staging(
        tuple(pieces[index] for index in range(len(values))),
        tuple(copies),
        tf.group(*(copy.stage for copy in copies), name="stage"),
        tf.group(*(copy.discard for copy in copies), name="discard"),
        window.start,
        window.count,
    )


@dataclass(frozen=True)
class _Value:
    """What is to be copied, and the memory of the task that holds it."""

    tensor: tf.Tensor
    memory: str
    shape: tuple[int, ...] | None
    is_slice: bool

    @staticmethod
    def of(spec: Any) -> _Value:
        tensor = spec.tensor
        shape = tuple(tensor.shape.as_list()) if tensor.shape.is_fully_defined() else None
        return _Value(tensor, memory_of(spec.device or tensor.device), shape, bool(spec.slice_spec))

    @property
    def length(self) -> int:
        return math.prod(self.shape or ())

    def flat(self) -> tf.Tensor:
        # A variable that has another shape by now would shift its neighbours. Graph optimizers take the declared
        # shape for the true one and remove a mere reshape, but this op they leave.
        return tf.reshape(tf.ensure_shape(self.settled(), self.shape), [-1])

    def settled(self) -> tf.Tensor:
        # A reference would share the variable's memory, and change with it.
        return _deep_copy(self.tensor) if tensorflow_private.is_reference(self.tensor) else self.tensor

    def piece(self, saveable: Any, spec: Any, copy: int, packed_at: int | None = None) -> StagedPiece:
        full_shape, offset, shape = self.shape, (0,) * len(self.shape or ()), self.shape
        if spec.slice_spec:
            full_shape, offset, shape = parse_slice_spec(spec.slice_spec)
        device = tf.DeviceSpec.from_string(self.memory)
        task = f"{device.job}:{device.task or 0}" if device.job else "local"
        dtype = self.tensor.dtype.base_dtype.name
        variable = server_variable_of(saveable, shape)
        op = holding_op(saveable)
        return StagedPiece(
            spec.name,
            dtype,
            full_shape,
            offset,
            shape,
            task,
            copy,
            packed_at,
            variable,
            None if op is None else op.name,
            self.is_slice,
        )


def unstageable(saveables: Iterable[Any]) -> tuple[str, ...]:
    """Names of what no copy can be made of: handles of other things, and quantized reference variables."""
    return tuple(
        spec.name
        for saveable in saveables
        for spec in saveable.specs
        if spec.dtype.base_dtype in {tf.variant, tf.resource}
        or (spec.dtype.base_dtype.is_quantized and isinstance(saveable, tensorflow_private.ReferenceVariableSaveable))
    )


def _packs(values: Sequence[_Value]) -> Iterator[list[int]]:
    """Which values share a copy: small whole ones, of one type, on one task."""
    by_kind: dict[tuple[str, str], list[int]] = {}
    for index, value in enumerate(values):
        dtype = value.tensor.dtype.base_dtype
        if value.is_slice or value.shape is None or not has_rows(dtype, 1):
            continue
        if math.prod(value.shape) * dtype.size < PACK_BELOW_BYTES:
            by_kind.setdefault((value.memory, dtype.name), []).append(index)
    for alike in by_kind.values():
        packs = (alike[first : first + PACK_MEMBERS_MAX] for first in range(0, len(alike), PACK_MEMBERS_MAX))
        yield from (members for members in packs if len(members) > 1)


def _copy(value: tf.Tensor, dtype: tf.DType, shared_name: str, window: _RowWindow) -> Copy:
    """A copy of a value, on the device that is open."""
    handle = tf.raw_ops.VarHandleOp(dtype=dtype, shape=value.shape, shared_name=shared_name, name="copy")
    stage = tf.raw_ops.AssignVariableOp(resource=handle, value=value)
    discard = tf.raw_ops.DestroyResourceOp(resource=handle, ignore_lookup_error=True)
    whole = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
    whole.set_shape(value.shape)
    staged_shape = None
    if not value.shape.is_fully_defined():
        with tf.control_dependencies([stage]):
            staged_shape = tf.shape(tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype), tf.int64)
    rows = window.of(whole) if has_rows(dtype, value.shape.rank) else None
    return Copy(stage, discard, whole, rows, staged_shape)


def parse_slice_spec(
    text: str,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Full shape, offset and shape of a slice, out of what ``Variable.SaveSliceInfo.spec`` gives: ``8 4 0,5:0,4``."""
    *full, slices = text.split(" ")
    full_shape = tuple(int(extent) for extent in full)
    extents = [
        (0, whole) if part == "-" else tuple(int(number) for number in part.split(","))
        for part, whole in zip(slices.split(":"), full_shape, strict=True)
    ]
    return full_shape, tuple(start for start, _ in extents), tuple(length for _, length in extents)


def _deep_copy(value: tf.Tensor) -> tf.Tensor:
    if value.dtype.base_dtype == tf.string:
        return tf.strings.join([value, ""])
    return tf.raw_ops.DeepCopy(x=value)
