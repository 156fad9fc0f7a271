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
        rows: placeholder for rows; None where it is restored whole.
        assign_rows: assigns the rows.
    """

    group: int
    position: int
    allocate: tf.Operation | None = None
    rows: tf.Tensor | None = None
    assign_rows: tf.Operation | None = None


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
    row_start: tf.Tensor
    row_stop: tf.Tensor


def build_restore_ops(saveables: Iterable[Any]) -> RestoreOps:
    """Add the ops to the default graph, in the open name scope. Every task calls it, once for each saver."""
    row_start = v1.placeholder(tf.int64, [], "restored_row_start")
    row_stop = v1.placeholder(tf.int64, [], "restored_row_stop")
    pieces: list[RestoredPiece] = []
    groups: list[RestoredGroup] = []
    for saveable in saveables:
        values = tuple(v1.placeholder(spec.dtype.base_dtype) for spec in saveable.specs)
        with tf.device(saveable.device):
            groups.append(RestoredGroup(values, _operation(saveable.restore(list(values), None))))
        for position in range(len(values)):
            if _is_large_variable(saveable):
                pieces.append(_by_rows(saveable, len(groups) - 1, row_start, row_stop))
            else:
                pieces.append(RestoredPiece(len(groups) - 1, position))
    return RestoreOps(tuple(pieces), tuple(groups), row_start, row_stop)


def _is_large_variable(saveable: Any) -> bool:
    kinds = (private_api.ResourceVariableSaveable, private_api.ReferenceVariableSaveable)
    if type(saveable) not in kinds:  # a subclass may restore in another way
        return False
    shape, dtype = saveable.specs[0].tensor.shape, saveable.specs[0].dtype.base_dtype
    if not shape.is_fully_defined() or not has_rows(dtype, shape.rank):
        return False
    return bool(math.prod(shape.as_list()) * dtype.size >= ROWS_FROM_BYTES)


def _by_rows(saveable: Any, group: int, row_start: tf.Tensor, row_stop: tf.Tensor) -> RestoredPiece:
    (spec,) = saveable.specs
    shape, dtype = spec.tensor.shape, spec.dtype.base_dtype
    rows = v1.placeholder(dtype, [None, *shape.as_list()[1:]])
    window = {"begin": [row_start], "end": [row_stop], "strides": tf.constant([1], tf.int64)}
    with tf.device(memory_of(spec.device or spec.tensor.device)):
        nothing = tf.zeros(shape, dtype)
        if isinstance(saveable, private_api.ResourceVariableSaveable):
            handle = saveable.handle_op
            allocate = tf.raw_ops.AssignVariableOp(resource=handle, value=nothing)
            assign = tf.raw_ops.ResourceStridedSliceAssign(ref=handle, value=rows, **window)
        else:
            reference = private_api.reference_of(saveable)
            allocate = _operation(tf.raw_ops.Assign(ref=reference, value=nothing))
            assign = _operation(tf.raw_ops.StridedSliceAssign(ref=reference, value=rows, **window))
    return RestoredPiece(group, 0, allocate, rows, assign)


def _operation(value: Any) -> tf.Operation:
    return value if isinstance(value, tf.Operation) else tf.group(value)
