"""The ops that copy every piece of a saver's variables beside itself and let the copies be read in parts.

They are made once, when the saver is made, because a session's graph is final. For every piece there is a
variable of ours, its copy, on the task that holds the piece and in that task's ordinary memory. No copy holds
memory outside an export.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved import tensorflow_private
from autodist_saved.errors import PlanError, Problem
from autodist_saved.plan import ExportPlan, LogicalVariable, Piece, make_plan
from autodist_saved.sources.own_scope import memory_of


@dataclass(frozen=True)
class StagedPiece:
    """One piece, and the ops that copy it and read the copy.

    Attributes:
        name: full name of the logical variable.
        dtype: its element type.
        full_shape, offset, shape: as in :mod:`autodist_saved.plan`; None where the running job alone knows.
        task: the task that holds piece and copy.
        stage: makes the copy.
        discard: frees it, whether it is there or not.
        whole: the whole copy.
        rows: a window of its rows; None for scalars.
        staged_shape: its shape, known once it is staged; None where ``shape`` tells it.
    """

    name: str
    dtype: str
    full_shape: tuple[int, ...] | None
    offset: tuple[int, ...]
    shape: tuple[int, ...] | None
    task: str
    stage: tf.Operation
    discard: tf.Operation
    whole: tf.Tensor
    rows: tf.Tensor | None
    staged_shape: tf.Tensor | None


@dataclass(frozen=True)
class Staging:
    """All ops of one saver. ``stage`` and ``discard`` are for all pieces together.

    There is one copy of each piece, so ``busy`` is held by the one export that may use it.
    """

    pieces: tuple[StagedPiece, ...]
    stage: tf.Operation
    discard: tf.Operation
    row_start: tf.Tensor
    row_count: tf.Tensor
    busy: threading.Lock = field(default_factory=threading.Lock, compare=False)

    def plan(self) -> ExportPlan:
        """The plan of the pieces. Raises ``PlanError``."""
        by_name: dict[str, list[int]] = {}
        for index, piece in enumerate(self.pieces):
            by_name.setdefault(piece.name, []).append(index)
        return make_plan(self._variable(name, indices) for name, indices in by_name.items())

    def _variable(self, name: str, indices: Sequence[int]) -> LogicalVariable:
        first = self.pieces[indices[0]]
        of_pieces = {(self.pieces[index].dtype, self.pieces[index].full_shape) for index in indices}
        if len(of_pieces) > 1:
            what = f"its pieces say different things of the whole: {sorted(map(str, of_pieces))}"
            fix = "give all pieces the same slice info and dtype, as a partitioner does"
            raise PlanError("the variables cannot be exported", problems=[Problem(f"variable {name!r}", what, fix)])
        pieces = tuple(
            Piece(index, piece.task, piece.offset, piece.shape or ())
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
    specs = [spec for saveable in saveables for spec in saveable.specs]
    pieces = tuple(_staged_piece(spec, f"copy_{index}", scope, window) for index, spec in enumerate(specs))
    return Staging(
        pieces,
        tf.group(*(piece.stage for piece in pieces), name="stage"),
        tf.group(*(piece.discard for piece in pieces), name="discard"),
        window.start,
        window.count,
    )


def _staged_piece(spec: Any, name: str, scope: str, window: _RowWindow) -> StagedPiece:
    value = spec.tensor
    dtype = value.dtype.base_dtype
    with tf.device(memory_of(spec.device or value.device)):
        copy = tf.raw_ops.VarHandleOp(dtype=dtype, shape=value.shape, shared_name=scope + name, name=name)
        # A reference would share the variable's memory, and change with it.
        settled = _deep_copy(value) if tensorflow_private.is_reference(value) else value
        stage = tf.raw_ops.AssignVariableOp(resource=copy, value=settled)
        discard = tf.raw_ops.DestroyResourceOp(resource=copy, ignore_lookup_error=True)
        whole = tf.raw_ops.ReadVariableOp(resource=copy, dtype=dtype)
        whole.set_shape(value.shape)
        shape = tuple(value.shape.as_list()) if value.shape.is_fully_defined() else None
        full_shape, offset = shape, (0,) * len(shape or ())
        if spec.slice_spec:
            full_shape, offset, shape = parse_slice_spec(spec.slice_spec)
        staged_shape = None
        if shape is None:
            with tf.control_dependencies([stage]):
                staged_shape = tf.shape(tf.raw_ops.ReadVariableOp(resource=copy, dtype=dtype), tf.int64)
        rows = None if value.shape.rank == 0 else window.of(whole)
    device = tf.DeviceSpec.from_string(copy.device)
    task = f"{device.job}:{device.task or 0}" if device.job else "local"
    return StagedPiece(
        spec.name, dtype.name, full_shape, offset, shape, task, stage, discard, whole, rows, staged_shape
    )


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
