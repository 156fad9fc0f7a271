"""The variables of a graph-mode job, reached through its session, as an export sees them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.bundle.dtypes import numpy_dtype
from autodist_saved.errors import ExportError
from autodist_saved.options import ExportOptions
from autodist_saved.plan import ExportPlan, LogicalVariable, Piece, Shape, make_plan
from autodist_saved.sources.parameter_servers import ParameterServers
from autodist_saved.sources.row_reads import Place, Rows
from autodist_saved.sources.source import Array, Source, Staged, misplanned
from autodist_saved.sources.staging_ops import StagingOps
from autodist_saved.sources.transfer import Transfer
from autodist_saved.sources.turn import Hold, Turn
from autodist_saved.transport.rendezvous import Rendezvous


class SessionSource(Source):
    """The variables of a :class:`~autodist_saved.Saver`, which has put ops for them into the session's graph.

    Parameter servers stage and send what they can by themselves. The session runs the saver's ops for the rest.
    """

    def __init__(
        self,
        session: v1.Session,
        staging: StagingOps,
        turn: Turn,
        *,
        rendezvous: Rendezvous | None = None,
        nobody_waits: Callable[[], bool] = lambda: False,
    ) -> None:
        """Runs nothing before :meth:`connect`.

        Args:
            session: a plain session (see :func:`plain_session`).
            staging: its saver's ops.
            turn: held from :meth:`connect` to :meth:`discard`. There is one copy of each piece, so all sources of one
                saver share it. A source that does not advance may lose it. What parameter servers have staged is not
                touched by that.
            rendezvous: where parameter servers connect; None where the session's own ops stage and read everything.
            nobody_waits: whether nobody would train on while this export streams, so that copies are of no use.
        """
        self._session = session
        self._staging = staging
        self._turn = turn
        self._rendezvous = rendezvous
        self._nobody_waits = nobody_waits
        self._servers = ParameterServers()
        self._hold: Hold | None = None
        self._has_copies = False
        # The slots of what is staged, by number of the set of reads.
        self._staged: dict[int, list[int]] = {}

    def plan(self) -> ExportPlan:
        return self._staging.plan

    def connect(self, plan: ExportPlan, directory: Path | None, options: ExportOptions) -> None:
        """See :meth:`Source.connect`. Raises ``ExportError`` while another export of the same saver is under way."""
        if self._hold is None:
            self._hold = self._take_turn(options)
        self.global_step()  # now, because TensorFlow takes its time to prepare what it runs for the first time
        if options.staging == "auto" and self._rendezvous is not None and self._nobody_waits():
            options = options.model_copy(update={"staging": "parked"})
        self._servers.connect(self._rendezvous, self._staging.held_by_servers(plan), directory, options)

    def _take_turn(self, options: ExportOptions) -> Hold:
        if options.when_busy == "wait":
            # What has not advanced for so long must not make training stand still for longer.
            return self._turn.take(options.cut_timeout_secs)
        if (hold := self._turn.take_now()) is None:
            raise ExportError(
                "another export of this saver is under way; wait for it, then export again, or export with "
                "ExportOptions(when_busy='wait')"
            )
        return hold

    def global_step(self) -> int | None:
        step = v1.train.get_global_step(self._session.graph)
        if step is None:
            return None
        try:
            return int(self._session.run(step))
        except tf.errors.FailedPreconditionError:  # it has no value, and may be none of what is exported
            return None

    def stage(self, plan: ExportPlan) -> Staged:
        with ThreadPoolExecutor(1, thread_name_prefix="stage") as aside:
            by_servers = aside.submit(self._servers.stage)
            shapes = self._stage_others(plan)
            staged = by_servers.result()
        shapes |= staged.shapes
        if shapes:
            plan = make_plan(self._with_shapes(variable, shapes) for variable in plan.variables)
        return Staged(plan, {task: staged.ways.get(task, "memory") for task in plan.tasks()}, staged.memory)

    def _stage_others(self, plan: ExportPlan) -> dict[int, Shape]:
        """Copy what no parameter server stages by itself. Returns shapes that were unknown, by a piece's index."""
        pieces = [piece for variable in plan.variables for piece in variable.pieces if not self._servers.holds(piece)]
        if not pieces:
            return {}
        self._has_copies = True
        numbers = {self._staging.pieces[piece.index].copy: piece.index for piece in pieces}
        self._staged = defaultdict(list)
        for number in sorted(numbers):
            if (rows := self._staging.copies[number].rows) is not None:
                self._staged[rows.set].append(rows.slot)
        # One op for all is much faster to run than a list of all, and the list is for some.
        everything = len(numbers) == len(self._staging.copies)
        stage = self._staging.stage if everything else [self._staging.copies[number].stage for number in numbers]
        staged_shapes = {index: self._staging.copies[number].staged_shape for number, index in numbers.items()}
        unknown = {index: shape for index, shape in staged_shapes.items() if shape is not None}
        with self._copying():
            _, shapes = self._session.run((stage, unknown))
        return {index: tuple(shape.tolist()) for index, shape in shapes.items()}

    def _with_shapes(self, variable: LogicalVariable, shapes: Mapping[int, Shape]) -> LogicalVariable:
        """A variable with the shapes of its staged pieces. Raises ``ExportError`` where the plan has others."""
        for piece in variable.pieces:
            if piece.index not in shapes:
                continue
            if variable.shape is None:
                return variable.with_shape(shapes[piece.index])
            found, planned = (f"{variable.dtype} {list(shape)}" for shape in (shapes[piece.index], piece.shape))
            raise misplanned(variable.name, piece, found, planned)
        return variable

    def _copying(self) -> AbstractContextManager[None]:
        """Around what changes the copies. Raises ``ExportError`` where they belong to another export."""
        return nullcontext() if self._hold is None else self._hold.copying()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Around reads of copies. Raises ``ExportError`` where they may have become another export's meanwhile."""
        try:
            yield
        finally:
            if self._hold is not None:
                self._hold.check()  # it says more than TensorFlow's error about copies that are freed

    def _advance(self) -> None:
        if self._hold is not None:
            self._hold.advance()

    def transfers(self) -> Mapping[str, Transfer]:
        return self._servers.transfers(self._advance)

    def read(self, piece: Piece, row_start: int, row_stop: int) -> Array:
        self._advance()
        if self._servers.holds(piece):
            return self._servers.read(piece, row_start, row_stop)
        staged = self._staging.pieces[piece.index]
        copy = self._staging.copies[staged.copy]
        if staged.packed_at is not None:
            (whole,) = self.read_together([piece])
            return whole[row_start:row_stop] if piece.shape else whole
        if copy.rows is not None:
            rows = self._read_rows({copy.rows: Rows(row_start, row_stop - row_start, max(1, len(piece.shape)))})
            return rows[copy.rows] if piece.shape else rows[copy.rows].reshape(())
        with self._reading():
            value = np.asarray(self._session.run(copy.whole))
        if value.dtype.names:  # a quantized type, which TensorFlow gives as a structure of one integer
            value = value.view(numpy_dtype(staged.dtype))
        return value[row_start:row_stop] if piece.shape else value

    def read_together(self, pieces: Sequence[Piece]) -> list[Array]:
        self._advance()
        values: dict[int, Array] = {}
        wanted: dict[Place, Rows] = {}
        places: dict[int, tuple[Place, int, int]] = {}  # of pieces that come with others: where, from which element
        for piece in pieces:
            staged = self._staging.pieces[piece.index]
            place = self._staging.copies[staged.copy].rows
            if self._servers.holds(piece) or place is None:
                values[piece.index] = self.read(piece, 0, (piece.shape or (1,))[0])
            elif staged.packed_at is None:
                wanted[place] = Rows(0, (piece.shape or (1,))[0], max(1, len(piece.shape)))
                places[piece.index] = place, 0, math.prod(piece.shape)
            else:
                before = wanted.get(place, Rows(staged.packed_at, 0, 1))
                wanted[place] = before._replace(extent=staged.packed_at + math.prod(piece.shape) - before.start)
                places[piece.index] = place, staged.packed_at - before.start, math.prod(piece.shape)
        read = self._read_rows(wanted)
        for piece in pieces:
            if piece.index in places:
                place, start, count = places[piece.index]
                values[piece.index] = read[place].reshape(-1)[start : start + count].reshape(piece.shape)
        return [values[piece.index] for piece in pieces]

    def _read_rows(self, wanted: Mapping[Place, Rows]) -> dict[Place, Array]:
        """Read rows with one run of the session for each set."""
        read: dict[Place, Array] = {}
        for number in sorted({place.set for place in wanted}):
            of_set = {place.slot: rows for place, rows in wanted.items() if place.set == number}
            with self._reading():
                found = self._staging.reads[number].read(self._session, of_set, self._staged.get(number, ()))
            read |= {Place(number, slot): rows for slot, rows in found.items()}
        return read

    def discard(self) -> None:
        self._servers.discard()
        try:
            if self._has_copies:
                with suppress(ExportError), self._copying():  # they may be another export's
                    self._session.run(self._staging.discard)
        finally:
            self._has_copies = False
            if self._hold is not None:
                self._hold.give_back()
                self._hold = None
