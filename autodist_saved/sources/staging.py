"""The ops that copy every piece of a saver's variables beside itself and let the copies be read in parts.

They are made once, when the saver is made, because a session's graph is final. For every piece there is a
variable of ours, its copy, on the task that holds the piece and in that task's ordinary memory. No copy holds
memory outside an export.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved import tensorflow_private
from autodist_saved.plan import ExportPlan, LogicalVariable, Piece, make_plan

SCOPE = "autodist_saved.staging"
SCOPES_COLLECTION = "autodist_saved.staging"


@dataclass(frozen=True)
class StagedPiece:
    """One piece and the tensors that read its copy.

    Attributes:
        name: full name of the logical variable.
        dtype: its element type.
        full_shape, offset, shape: as in :mod:`autodist_saved.plan`; None where the running job alone knows.
        task: the task that holds piece and copy.
        whole: the whole copy.
        rows: rows ``row_start`` to ``row_start + row_count`` of the copy; None for scalars and strings.
    """

    name: str
    dtype: str
    full_shape: tuple[int, ...] | None
    offset: tuple[int, ...]
    shape: tuple[int, ...] | None
    task: str
    whole: tf.Tensor
    rows: tf.Tensor | None


@dataclass(frozen=True)
class Staging:
    """All ops of one saver. ``shapes`` are those of the pieces with unknown shape, by their index."""

    pieces: tuple[StagedPiece, ...]
    stage: tf.Operation
    discard: tf.Operation
    shapes: dict[int, tf.Tensor]
    row_start: tf.Tensor
    row_count: tf.Tensor

    def plan(self) -> ExportPlan:
        """The plan of the pieces. Raises ``PlanError``."""
        by_name: dict[str, list[int]] = {}
        for index, piece in enumerate(self.pieces):
            by_name.setdefault(piece.name, []).append(index)
        return make_plan(self._variable(name, indices) for name, indices in by_name.items())

    def _variable(self, name: str, indices: Sequence[int]) -> LogicalVariable:
        first = self.pieces[indices[0]]
        return LogicalVariable(
            name,
            first.dtype,
            first.full_shape,
            tuple(
                Piece(index, piece.task, piece.offset, piece.shape or ())
                for index, piece in ((index, self.pieces[index]) for index in indices)
            ),
        )


def build_staging(saver: v1.train.Saver) -> Staging:
    """Add the staging ops for the saver's variables to the default graph. Called by every task, once a saver."""
    # device(None) leaves the scope of the cluster's placement: copies stay where their pieces are.
    with v1.name_scope(SCOPE) as scope, tf.device(None), tf.control_dependencies(None):
        v1.add_to_collection(SCOPES_COLLECTION, scope)
        window = _RowWindow()
        pieces: list[StagedPiece] = []
        stage: list[tf.Operation] = []
        discard: list[tf.Operation] = []
        shapes: dict[int, tf.Tensor] = {}
        for saveable in tensorflow_private.saveables_of(saver):
            for spec in saveable.specs:
                value = spec.tensor
                with tf.device(_memory_of(spec.device or value.device)):
                    copy = tf.raw_ops.VarHandleOp(
                        dtype=value.dtype.base_dtype,
                        shape=value.shape,
                        shared_name=f"{scope}copy_{len(pieces)}",
                        name=f"copy_{len(pieces)}",
                    )
                    # A reference would share the variable's memory, and change with it.
                    if tensorflow_private.is_reference(value):
                        value = _deep_copy(value)
                    stage.append(tf.raw_ops.AssignVariableOp(resource=copy, value=value))
                    discard.append(tf.raw_ops.DestroyResourceOp(resource=copy, ignore_lookup_error=True))
                    whole = tf.raw_ops.ReadVariableOp(resource=copy, dtype=value.dtype.base_dtype)
                    whole.set_shape(value.shape)
                    pieces.append(_staged_piece(spec, whole, window))
                    if pieces[-1].shape is None:
                        with tf.control_dependencies([stage[-1]]):
                            shapes[len(pieces) - 1] = tf.shape(
                                tf.raw_ops.ReadVariableOp(resource=copy, dtype=value.dtype.base_dtype)
                            )
        return Staging(
            tuple(pieces),
            tf.group(*stage, name="stage"),
            tf.group(*discard, name="discard"),
            shapes,
            window.start,
            window.count,
        )


class _RowWindow:
    """Two numbers fed to every partial read, and the slice arguments made of them, once for each rank."""

    def __init__(self) -> None:
        self.start = v1.placeholder(tf.int64, [], "row_start")
        self.count = v1.placeholder(tf.int64, [], "row_count")
        self._by_rank: dict[int, tuple[tf.Tensor, tf.Tensor]] = {}

    def of(self, value: tf.Tensor) -> tf.Tensor:
        rank = value.shape.rank
        if rank not in self._by_rank:
            with tf.device(None):
                self._by_rank[rank] = (
                    tf.concat([[self.start], tf.constant(0, tf.int64, [rank - 1])], 0),
                    tf.concat([[self.count], tf.constant(-1, tf.int64, [rank - 1])], 0),
                )
        return tf.slice(value, *self._by_rank[rank])


def _staged_piece(spec: Any, whole: tf.Tensor, window: _RowWindow) -> StagedPiece:
    shape = tuple(whole.shape.as_list()) if whole.shape.is_fully_defined() else None
    full_shape, offset = shape, (0,) * len(shape or ())
    if spec.slice_spec:
        full_shape, offset, shape = parse_slice_spec(spec.slice_spec)
    dtype = whole.dtype.name
    rows = window.of(whole) if shape and dtype != "string" else None
    device = tf.DeviceSpec.from_string(whole.device)
    task = f"{device.job}:{device.task or 0}" if device.job else "local"
    return StagedPiece(spec.name, dtype, full_shape, offset, shape, task, whole, rows)


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


def _memory_of(device: str) -> str:
    """The ordinary memory of the task that owns ``device``, whatever accelerator the variable is on."""
    return str(tf.DeviceSpec.from_string(device).replace(device_type="CPU", device_index=0).to_string())
