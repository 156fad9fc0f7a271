"""Carrying: pieces go from their tasks into their places in the data files, all tasks at once.

Only what lies in the file as it lies in its piece can be carried: whole variables, and partitions of the first
dimension. That is nearly everything that is large.
"""

from __future__ import annotations

import math
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from itertools import groupby
from pathlib import Path
from typing import Literal

from autodist_saved.bundle.dtypes import item_bytes
from autodist_saved.bundle.writer import BundleWriter, EntryWriter
from autodist_saved.errors import ExportError
from autodist_saved.plan import ExportPlan, LogicalVariable, Piece
from autodist_saved.progress import Progress
from autodist_saved.sources.carrier import Carrier, Span

Transport = Literal["auto", "stream", "shared"]

# Two files are written faster than one of twice the size. For less than this it is not worth having several.
SEVERAL_FILES_FROM_BYTES = 2**26
# So much is asked for, and told as progress, at a time.
_SPAN_BYTES = 2**25


class CarriedVariables:
    """The variables of a plan that can be carried, and their layout in data files."""

    def __init__(self, plan: ExportPlan, carriers: Mapping[str, Carrier]) -> None:
        """``carriers`` are those of the source that has staged ``plan``."""
        self._tasks = plan.tasks()
        self._carriers = carriers
        # In the order of the copies they are neighbours in the file, too, and move in one piece.
        self._variables = [variable for variable in plan.by_place if self._can_carry(variable)]
        self._names = {variable.name for variable in self._variables}
        tasks = sorted({_home(variable) for variable in self._variables})
        if plan.nbytes < SEVERAL_FILES_FROM_BYTES:
            tasks = tasks[:1]
        self._file_of = {task: number for number, task in enumerate(tasks)}

    def __contains__(self, variable: LogicalVariable) -> bool:
        return variable.name in self._names

    @property
    def data_files(self) -> int:
        """How many data files the bundle should have, at least 1."""
        return max(1, len(self._file_of))

    def ways(self, prefix: str, transport: Transport) -> dict[str, str]:
        """``stream`` or ``shared`` for each task that has a carrier.

        Tasks see the directory of ``prefix`` if they find a file that was put there for them just now.

        Raises:
            ExportError: ``transport`` is ``shared``, and there is a task that does not see the directory.
        """
        if transport == "stream":
            return dict.fromkeys(self._carriers, "stream")
        probe, contents = Path(f"{prefix}.probe-{uuid.uuid4().hex}"), uuid.uuid4().bytes
        probe.write_bytes(contents)
        try:
            see = {task: carrier.sees(probe, contents) for task, carrier in self._carriers.items()}
        finally:
            probe.unlink()
        blind = [task for task in self._tasks if task.startswith("ps:") and not see.get(task)]
        if transport == "shared" and blind:
            raise ExportError(
                f"{', '.join(blind)} cannot write to {probe.parent} of the chief, or not to the same; mount it there "
                "with the same path, or export with transport='auto'",
                path=str(probe.parent),
            )
        return {task: "shared" if sees else "stream" for task, sees in see.items()}

    def carry(self, writer: BundleWriter, ways: Mapping[str, str], progress: Progress, *, sync: bool) -> None:
        """Bring all variables into their places. Raises as :class:`Carrier` does, when all tasks have stopped."""
        moves: dict[str, list[tuple[EntryWriter, Span]]] = {task: [] for task in self._carriers}
        for variable in self._variables:
            file = self._file_of.get(_home(variable), 0)
            entry = writer.begin(variable.name, variable.dtype, variable.shape or (), file)
            for piece in variable.pieces:
                moves[piece.task].extend(_moves(variable, piece, entry))
        if not self._variables:
            return
        failed = threading.Event()
        with ThreadPoolExecutor(len(moves), thread_name_prefix="carry") as pool:
            try:
                running = [
                    pool.submit(self._carry_from, task, moves[task], ways[task], progress, failed, sync)
                    for task in moves
                ]
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                if any(future.done() and future.exception() for future in running):
                    failed.set()
        for future in running:
            future.result()

    def _carry_from(
        self,
        task: str,
        moves: list[tuple[EntryWriter, Span]],
        way: str,
        progress: Progress,
        failed: threading.Event,
        sync: bool,
    ) -> None:
        carrier = self._carriers[task]
        for path, to_file in groupby(moves, lambda move: move[0].path):
            of_file = list(to_file)
            spans = [span for _, span in of_file]
            checksums = carrier.write(spans, path, sync=sync) if way == "shared" else carrier.receive(spans, path)
            begun = 0
            for some in checksums:
                done = of_file[begun : begun + len(some)]
                for crc, (entry, span) in zip(some, done, strict=True):
                    entry.written(span.offset - entry.offset, span.nbytes, crc)
                progress.advance(sum(span.nbytes for _, span in done))
                begun += len(some)
                if failed.is_set():
                    return

    def _can_carry(self, variable: LogicalVariable) -> bool:
        if variable.shape is None or item_bytes(variable.dtype) is None:
            return False
        return all(
            piece.shape[1:] == variable.shape[1:]
            and piece.task in self._carriers
            and self._carriers[piece.task].holds(piece)
            for piece in variable.pieces
        )


def _moves(variable: LogicalVariable, piece: Piece, entry: EntryWriter) -> Iterator[tuple[EntryWriter, Span]]:
    item = item_bytes(variable.dtype) or 0
    first = math.prod(piece.shape[1:]) * item * piece.offset[0] if piece.shape else 0
    nbytes = math.prod(piece.shape) * item
    for start in range(0, nbytes, _SPAN_BYTES):
        yield entry, Span(piece, start, min(_SPAN_BYTES, nbytes - start), entry.offset + first + start)


def _home(variable: LogicalVariable) -> str:
    """The task whose data file holds the variable."""
    return variable.pieces[0].task
