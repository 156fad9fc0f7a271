"""The variables of a graph-mode job, reached through its session."""

from __future__ import annotations

import contextlib
import math
import threading
import uuid
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved import tensorflow_private
from autodist_saved.bundle.damage import reporting_unwritable
from autodist_saved.errors import ExportError, UsageError
from autodist_saved.options import Transport
from autodist_saved.plan import ExportPlan, Piece, make_plan
from autodist_saved.sources.carrier import Carrier
from autodist_saved.sources.copy_carrier import CopyCarrier
from autodist_saved.sources.restoring import RestoredPiece, Restoring
from autodist_saved.sources.sink import Sink
from autodist_saved.sources.source import Array, Source
from autodist_saved.sources.staging import Copy, Staging
from autodist_saved.transport.line import Line
from autodist_saved.transport.meeting import Meeting

_CLOSED = "the session is closed; export inside its `with` block, or before close()"


class SessionSource(Source):
    """Stages and reads with ops that a :class:`~autodist_saved.Saver` has put into the session's graph."""

    def __init__(self, session: v1.Session, staging: Staging, *, wait: bool = False) -> None:
        """Runs nothing before :meth:`stage`.

        Args:
            session: a plain session (see :func:`plain_session`).
            staging: its saver's ops.
            wait: wait in :meth:`stage` while another export of the same saver has its copies, instead of raising.
        """
        self._wait = wait
        self._session = session
        self._staging = staging
        self._has_copies = False
        self._staged: ExportPlan | None = None
        self._lines: Mapping[str, Line] = {}

    def plan(self) -> ExportPlan:
        return self._staging.plan

    def global_step(self) -> int | None:
        step = v1.train.get_global_step(self._session.graph)
        return None if step is None else int(self._session.run(step))

    def stage(self, plan: ExportPlan) -> ExportPlan:
        """See :meth:`Source.stage`. Raises ``ExportError`` while another export of the same saver has its copies."""
        if not self._has_copies and not self._staging.busy.acquire(blocking=self._wait):
            raise ExportError("another export of this saver is under way; wait for it, then export again")
        self._has_copies = True
        pieces = [self._staging.pieces[piece.index] for variable in plan.variables for piece in variable.pieces]
        copies = {piece.copy: self._staging.copies[piece.copy] for piece in pieces}
        # One op for all is much faster to run than a list of all, and the list is for the exports of some.
        everything = len(copies) == len(self._staging.copies)
        stage = self._staging.stage if everything else [copy.stage for copy in copies.values()]
        unknown = {number: copy.staged_shape for number, copy in copies.items() if copy.staged_shape is not None}
        _, shapes = self._session.run((stage, unknown))
        if unknown:
            plan = make_plan(
                variable.with_shape(tuple(shapes[self._staging.pieces[variable.pieces[0].index].copy].tolist()))
                if variable.shape is None
                else variable
                for variable in plan.variables
            )
        self._staged = plan
        return plan

    def carriers(self, directory: Path, transport: Transport) -> Mapping[str, Carrier]:
        meeting = Meeting.of(tf.compat.as_str(self._session.sess_str))
        copies = {} if self._staged is None else self._staging.copies_of(self._staged)
        self._lines = {} if meeting is None else meeting.call_in(copies)
        seen_by = _tasks_that_see(directory, self._lines) if transport != "stream" else set()
        if transport == "shared" and (blind := sorted(copies.keys() - seen_by)):
            raise ExportError(
                f"{', '.join(blind)} cannot write to {directory} of the chief, or not to the same; mount it there "
                "with the same path, or export with transport='auto'",
                path=str(directory),
            )
        return {
            task: CopyCarrier(line, self._staging, copies[task], way="shared" if task in seen_by else "stream")
            for task, line in self._lines.items()
        }

    def read(self, piece: Piece, row_start: int, row_stop: int) -> Array:
        staged = self._staging.pieces[piece.index]
        copy = self._staging.copies[staged.copy]
        rows = (piece.shape or (1,))[0]
        if staged.packed_at is not None:
            (whole,) = self.read_together([piece])
            return whole[row_start:row_stop] if piece.shape else whole
        if copy.rows is not None and row_stop - row_start < rows:
            return self._window(copy, row_start, row_stop - row_start)
        # A scalar string comes as plain bytes.
        value = np.asarray(self._session.run(copy.whole), dtype=object if staged.dtype == "string" else None)
        return value[row_start:row_stop] if piece.shape else value

    def read_together(self, pieces: Sequence[Piece]) -> list[Array]:
        staged = [self._staging.pieces[piece.index] for piece in pieces]
        sizes = [math.prod(piece.shape) for piece in pieces]
        start = staged[0].packed_at or 0
        flat = self._window(self._staging.copies[staged[0].copy], start, sum(sizes))
        edges = [0, *accumulate(sizes)]
        return [
            flat[first:last].reshape(piece.shape)
            for piece, (first, last) in zip(pieces, pairwise(edges), strict=True)
        ]

    def _window(self, copy: Copy, row_start: int, row_count: int) -> Array:
        rows: Array = self._session.run(
            copy.rows, {self._staging.row_start: row_start, self._staging.row_count: row_count}
        )
        return rows

    def discard(self) -> None:
        for line in self._lines.values():
            line.close()
        self._lines = {}
        if not self._has_copies:
            return
        try:
            self._session.run(self._staging.discard)
        finally:
            self._has_copies = False
            self._staging.busy.release()


class SessionSink(Sink):
    """Restores with ops that a :class:`~autodist_saved.Saver` has put into the session's graph."""

    def __init__(self, session: v1.Session, staging: Staging, restoring: Restoring) -> None:
        """``session`` is a plain session; nothing is run before :meth:`allocate`."""
        self._session = session
        self._staging = staging
        self._restoring = restoring
        self._waiting: dict[int, dict[int, Array]] = {}
        self._lock = threading.Lock()

    def plan(self) -> ExportPlan:
        return self._staging.plan

    def allocate(self) -> None:
        self._session.run([piece.allocate for piece in self._restoring.pieces if piece.allocate is not None])

    def write(self, piece: Piece, row_start: int, rows: Array) -> None:
        restored = self._restoring.pieces[piece.index]
        if restored.assign_rows is None:
            self._write_whole(restored, rows)
            return
        window = {
            self._restoring.row_start: row_start,
            self._restoring.row_stop: row_start + len(rows),
            restored.rows: rows,
        }
        self._session.run(restored.assign_rows, window)

    def writes_whole(self, piece: Piece) -> bool:
        return self._restoring.pieces[piece.index].assign_rows is None

    def _write_whole(self, restored: RestoredPiece, value: Array) -> None:
        """Restore a group as soon as the values of all its pieces have come."""
        group = self._restoring.groups[restored.group]
        with self._lock:
            values = self._waiting.setdefault(restored.group, {})
            values[restored.position] = value
            if len(values) < len(group.values):
                return
            del self._waiting[restored.group]
        self._session.run(group.restore, {group.values[position]: value for position, value in values.items()})


def _tasks_that_see(directory: Path, lines: Mapping[str, Line]) -> set[str]:
    """Those that find a file which is put there for them just now, and may write it."""
    if not lines:
        return set()
    probe, contents = directory / f".autodist_saved-probe-{uuid.uuid4().hex}", uuid.uuid4().bytes
    try:
        with reporting_unwritable(probe):
            probe.write_bytes(contents)
        return {task for task, line in lines.items() if line.sees(probe, contents)}
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def plain_session(session: Any) -> v1.Session:
    """The TensorFlow session inside a monitored one, so that reads run no hooks; a plain one as it is.

    Raises:
        UsageError: the session is closed.
    """
    try:
        if hasattr(session, "run_step_fn"):
            plain = session.run_step_fn(lambda step_context: step_context.session)
        else:
            plain = session.raw_session() if hasattr(session, "raw_session") else session
    except (AttributeError, RuntimeError) as error:
        raise UsageError(_CLOSED) from error
    if plain is None or tensorflow_private.is_closed(plain):
        raise UsageError(_CLOSED)
    return plain
