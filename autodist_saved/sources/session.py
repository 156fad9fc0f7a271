"""The variables of a graph-mode job, reached through its session."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as v1

from autodist_saved.plan import ExportPlan, Piece, make_plan
from autodist_saved.sources.source import Array, Source
from autodist_saved.sources.staging import Staging


class SessionSource(Source):
    """Stages and reads with ops that a :class:`~autodist_saved.Saver` has put into the session's graph."""

    def __init__(self, session: v1.Session, staging: Staging) -> None:
        """``session`` is a plain session (see :func:`plain_session`); nothing is run before :meth:`stage`."""
        self._session = session
        self._staging = staging

    def plan(self) -> ExportPlan:
        return self._staging.plan()

    def global_step(self) -> int | None:
        step = v1.train.get_global_step(self._session.graph)
        return None if step is None else int(self._session.run(step))

    def stage(self) -> ExportPlan:
        _, shapes = self._session.run((self._staging.stage, self._staging.shapes))
        return make_plan(
            variable.with_shape(tuple(int(extent) for extent in shapes[variable.pieces[0].index]))
            if variable.shape is None
            else variable
            for variable in self.plan().variables
        )

    def read(self, piece: Piece, row_start: int, row_stop: int) -> Array:
        staged = self._staging.pieces[piece.index]
        row_count = row_stop - row_start
        if staged.rows is None or row_count == piece.shape[0]:
            whole: Array = self._session.run(staged.whole)
            return whole if row_count == (piece.shape or (1,))[0] else whole[row_start:row_stop]
        rows: Array = self._session.run(
            staged.rows, {self._staging.row_start: row_start, self._staging.row_count: row_count}
        )
        return rows

    def discard(self) -> None:
        self._session.run(self._staging.discard)


def plain_session(session: Any) -> v1.Session:
    """The TensorFlow session inside a monitored one, so that reads run no hooks; a plain one as it is."""
    if hasattr(session, "run_step_fn"):
        return session.run_step_fn(lambda step_context: step_context.session)
    return session.raw_session() if hasattr(session, "raw_session") else session
