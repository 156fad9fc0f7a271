"""The variables of a graph-mode job, reached through its session."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow.compat.v1 as v1

from autodist_saved import tensorflow_private
from autodist_saved.errors import ExportError, UsageError
from autodist_saved.plan import ExportPlan, Piece, make_plan
from autodist_saved.sources.source import Array, Source
from autodist_saved.sources.staging import Staging

_CLOSED = "the session is closed; export inside its `with` block, or before close()"


class SessionSource(Source):
    """Stages and reads with ops that a :class:`~autodist_saved.Saver` has put into the session's graph."""

    def __init__(self, session: v1.Session, staging: Staging) -> None:
        """``session`` is a plain session (see :func:`plain_session`); nothing is run before :meth:`stage`."""
        self._session = session
        self._staging = staging
        self._has_copies = False

    def plan(self) -> ExportPlan:
        return self._staging.plan()

    def global_step(self) -> int | None:
        step = v1.train.get_global_step(self._session.graph)
        return None if step is None else int(self._session.run(step))

    def stage(self, plan: ExportPlan) -> ExportPlan:
        """See :meth:`Source.stage`. Raises ``ExportError`` while another export of the same saver has its copies."""
        if not self._has_copies and not self._staging.busy.acquire(blocking=False):
            raise ExportError("another export of this saver is under way; wait for it, then export again")
        self._has_copies = True
        pieces = {
            piece.index: self._staging.pieces[piece.index] for variable in plan.variables for piece in variable.pieces
        }
        # One op for all is much faster to run than a list of all, and the list is for the exports of some.
        everything = len(pieces) == len(self._staging.pieces)
        stage = self._staging.stage if everything else [piece.stage for piece in pieces.values()]
        unknown = {index: piece.staged_shape for index, piece in pieces.items() if piece.staged_shape is not None}
        _, shapes = self._session.run((stage, unknown))
        return make_plan(
            variable.with_shape(tuple(shapes[variable.pieces[0].index].tolist()))
            if variable.shape is None
            else variable
            for variable in plan.variables
        )

    def read(self, piece: Piece, row_start: int, row_stop: int) -> Array:
        staged = self._staging.pieces[piece.index]
        row_count = row_stop - row_start
        if staged.rows is None or row_count == (piece.shape or (1,))[0]:
            value = self._session.run(staged.whole)
        else:
            window = {self._staging.row_start: row_start, self._staging.row_count: row_count}
            value = self._session.run(staged.rows, window)
        # A scalar string comes as plain bytes.
        return np.asarray(value, dtype=object if staged.dtype == "string" else None)

    def discard(self) -> None:
        if not self._has_copies:
            return
        try:
            self._session.run(self._staging.discard)
        finally:
            self._has_copies = False
            self._staging.busy.release()


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
