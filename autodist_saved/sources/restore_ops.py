"""The ops that restore a saver's variables: large variables row by row, all others whole.

The saver adds them to the graph when it is made, as those of :mod:`autodist_saved.sources.staging_ops`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.sources.row_reads import Place
from autodist_saved.sources.row_writes import RowWrites, RowWritesBuilder
from autodist_saved.sources.rows import has_rows
from autodist_saved.sources.staging_builder import memory_of
from autodist_saved.tf_internals import private_api

# A smaller piece fits into one message anyway, and needs three ops less.
ROWS_FROM_BYTES = 2**20


@dataclass(frozen=True)
class RestoredPiece:
    """How one piece is restored.

    Attributes:
        group: which of :attr:`RestoreOps.groups` holds it.
        position: its place in that group.
        allocate: allocates it; None where it is restored whole.
        rows: where its rows are assigned; None where it is restored whole.
    """

    group: int
    position: int
    allocate: tf.Operation | None = None
    rows: Place | None = None


@dataclass(frozen=True)
class RestoredGroup:
    """Pieces that one op restores from fed values: one piece for a variable, two (keys and values) for a table."""

    values: tuple[tf.Tensor, ...]
    restore: tf.Operation


@dataclass(frozen=True)
class RestoreOps:
    """All ops of one saver; ``pieces`` are in the order of :attr:`StagingOps.pieces`."""

    pieces: tuple[RestoredPiece, ...]
    groups: tuple[RestoredGroup, ...]
    writes: tuple[RowWrites, ...]


def build_restore_ops(saveables: Iterable[Any]) -> RestoreOps:
    """Add the ops to the default graph, in the open name scope. Every task calls it, once for each saver."""
    writes = RowWritesBuilder()
    pieces: list[RestoredPiece] = []
    groups: list[RestoredGroup] = []
    for saveable in saveables:
        values = tuple(v1.placeholder(spec.dtype.base_dtype) for spec in saveable.specs)
        with tf.device(saveable.device):
            groups.append(RestoredGroup(values, _operation(saveable.restore(list(values), None))))
        for position in range(len(values)):
            if _is_large_variable(saveable):
                pieces.append(_by_rows(saveable, len(groups) - 1, writes))
            else:
                pieces.append(RestoredPiece(len(groups) - 1, position))
    return RestoreOps(tuple(pieces), tuple(groups), writes.made())


def _is_large_variable(saveable: Any) -> bool:
    kinds = (private_api.ResourceVariableSaveable, private_api.ReferenceVariableSaveable)
    if type(saveable) not in kinds:  # a subclass may restore in another way
        return False
    shape, dtype = saveable.specs[0].tensor.shape, saveable.specs[0].dtype.base_dtype
    if not shape.is_fully_defined() or not has_rows(dtype, shape.rank):
        return False
    return bool(math.prod(shape.as_list()) * dtype.size >= ROWS_FROM_BYTES)


def _by_rows(saveable: Any, group: int, writes: RowWritesBuilder) -> RestoredPiece:
    (spec,) = saveable.specs
    shape, dtype = spec.tensor.shape, spec.dtype.base_dtype
    rows = v1.placeholder(dtype, [None, *shape.as_list()[1:]])
    memory = memory_of(spec.device or spec.tensor.device)
    is_resource = isinstance(saveable, private_api.ResourceVariableSaveable)
    held = saveable.handle_op if is_resource else private_api.reference_of(saveable)
    assign_whole = tf.raw_ops.AssignVariableOp if is_resource else tf.raw_ops.Assign
    assign_rows = tf.raw_ops.ResourceStridedSliceAssign if is_resource else tf.raw_ops.StridedSliceAssign

    def assign(start: tf.Tensor, stop: tf.Tensor) -> tf.Operation:
        window = {"begin": start, "end": stop, "strides": tf.constant([1], tf.int64)}
        return _operation(assign_rows(ref=held, value=rows, **window))

    with tf.device(memory):
        nothing = tf.zeros(shape, dtype)
        allocate = _operation(assign_whole(**{"resource" if is_resource else "ref": held}, value=nothing))
        return RestoredPiece(group, 0, allocate, writes.add(rows, memory, assign))


def _operation(value: Any) -> tf.Operation:
    return value if isinstance(value, tf.Operation) else tf.group(value)
