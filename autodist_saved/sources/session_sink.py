"""The variables of a graph-mode job, reached through its session, as a restore sees them."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from functools import cached_property

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.bundle.dtypes import item_bytes
from autodist_saved.plan import ExportPlan, LogicalVariable, Piece
from autodist_saved.sources.restore_ops import RestoreOps
from autodist_saved.sources.sink import Sink
from autodist_saved.sources.source import Array
from autodist_saved.sources.staging_ops import StagingOps

# What is restored whole waits for its batch, in the chief's memory.
_BATCH_BYTES = 2**24
_STRING_BYTES = 64  # assumed, where the number of strings is all that is known


class SessionSink(Sink):
    """Restores with the ops that a :class:`~autodist_saved.Saver` has added to the session's graph.

    Before a session runs a set of ops for the first time, TensorFlow prunes and optimizes the whole graph for it. So
    what is restored whole is restored in few batches.
    """

    def __init__(self, session: v1.Session, staging: StagingOps, restore_ops: RestoreOps) -> None:
        """``session`` is a plain session; nothing is run before :meth:`allocate`."""
        self._session = session
        self._staging = staging
        self._restore_ops = restore_ops
        self._waiting = defaultdict[int, dict[tf.Tensor, Array]](dict)
        self._lock = threading.Lock()

    def plan(self) -> ExportPlan:
        return self._staging.plan

    def allocate(self) -> None:
        self._session.run([piece.allocate for piece in self._restore_ops.pieces if piece.allocate is not None])

    def write(self, piece: Piece, row_start: int, rows: Array) -> None:
        restored = self._restore_ops.pieces[piece.index]
        if restored.rows is None:
            self._write_whole(restored.group, restored.position, rows)
        else:
            self._restore_ops.writes[restored.rows.set].write(self._session, restored.rows.slot, row_start, rows)

    def writes_whole(self, piece: Piece) -> bool:
        return self._restore_ops.pieces[piece.index].rows is None

    def _write_whole(self, group: int, position: int, value: Array) -> None:
        """Restore a batch of groups as soon as the values of all their pieces are there."""
        batch, groups = self._batch_of[group], self._restore_ops.groups
        members = self._batches[batch]
        with self._lock:
            values = self._waiting[batch]
            placeholder = groups[group].values[position]
            if placeholder.dtype.is_quantized:  # TensorFlow takes it as a structure of one integer
                value = value.view(placeholder.dtype.as_numpy_dtype)
            values[placeholder] = value
            if len(values) < sum(len(groups[member].values) for member in members):
                return
            del self._waiting[batch]
        self._session.run([groups[member].restore for member in members], values)

    @cached_property
    def _batch_of(self) -> dict[int, int]:
        return {group: number for number, members in enumerate(self._batches) for group in members}

    @cached_property
    def _batches(self) -> list[list[int]]:
        """Numbers of the groups that are restored whole, in the order in which their values come."""
        nbytes: dict[int, int] = {}
        for variable in self.plan().variables:
            for piece in variable.pieces:
                restored = self._restore_ops.pieces[piece.index]
                if restored.rows is None:
                    nbytes[restored.group] = nbytes.get(restored.group, 0) + _nbytes(variable, piece)
        batches: list[list[int]] = []
        size = 0
        for group, more in nbytes.items():
            if not batches or size + more > _BATCH_BYTES:
                batches.append([])
                size = 0
            batches[-1].append(group)
            size += more
        return batches


def _nbytes(variable: LogicalVariable, piece: Piece) -> int:
    """About how many bytes a piece has; as many as a batch may have where nothing is known."""
    if variable.shape is None:
        return _BATCH_BYTES
    return math.prod(piece.shape) * (item_bytes(variable.dtype) or _STRING_BYTES)
