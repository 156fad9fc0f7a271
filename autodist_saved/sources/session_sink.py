"""The variables of a graph-mode job, reached through its session, as a restore sees them."""

from __future__ import annotations

import threading

import tensorflow.compat.v1 as v1

from autodist_saved.plan import ExportPlan, Piece
from autodist_saved.sources.restore_ops import RestoredPiece, RestoreOps
from autodist_saved.sources.sink import Sink
from autodist_saved.sources.source import Array
from autodist_saved.sources.staging_ops import StagingOps


class SessionSink(Sink):
    """Restores with the ops that a :class:`~autodist_saved.Saver` has added to the session's graph."""

    def __init__(self, session: v1.Session, staging: StagingOps, restore_ops: RestoreOps) -> None:
        """``session`` is a plain session; nothing is run before :meth:`allocate`."""
        self._session = session
        self._staging = staging
        self._restore_ops = restore_ops
        self._waiting: dict[int, dict[int, Array]] = {}
        self._lock = threading.Lock()

    def plan(self) -> ExportPlan:
        return self._staging.plan

    def allocate(self) -> None:
        self._session.run([piece.allocate for piece in self._restore_ops.pieces if piece.allocate is not None])

    def write(self, piece: Piece, row_start: int, rows: Array) -> None:
        restored = self._restore_ops.pieces[piece.index]
        if restored.assign_rows is None:
            self._write_whole(restored, rows)
            return
        window = {
            self._restore_ops.row_start: row_start,
            self._restore_ops.row_stop: row_start + len(rows),
            restored.rows: rows,
        }
        self._session.run(restored.assign_rows, window)

    def writes_whole(self, piece: Piece) -> bool:
        return self._restore_ops.pieces[piece.index].assign_rows is None

    def _write_whole(self, restored: RestoredPiece, value: Array) -> None:
        """Restore a group as soon as the values of all its pieces are there."""
        group = self._restore_ops.groups[restored.group]
        with self._lock:
            values = self._waiting.setdefault(restored.group, {})
            values[restored.position] = value
            if len(values) < len(group.values):
                return
            del self._waiting[restored.group]
        self._session.run(group.restore, {group.values[position]: value for position, value in values.items()})
