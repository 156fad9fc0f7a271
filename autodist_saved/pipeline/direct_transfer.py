"""Direct transfer: tasks move their pieces into their places in the data files, all tasks at once.

Only what lies in the file as it lies in its piece can go that way: whole variables, and partitions of the first
dimension. That is nearly everything that is large.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from itertools import groupby

from autodist_saved.bundle.dtypes import item_bytes
from autodist_saved.bundle.entry_writer import EntryWriter
from autodist_saved.bundle.writer import BundleWriter
from autodist_saved.plan import ExportPlan, LogicalVariable, Piece
from autodist_saved.sources.transfer import Span, Transfer
from autodist_saved.system.niceness import yield_to_training
from autodist_saved.system.progress import Progress

# Two files are written faster than one of twice the size. For less than this it is not worth having several.
SEVERAL_FILES_FROM_BYTES = 2**26
# How much one request moves; progress advances by as much.
_SPAN_BYTES = 2**25


class TransferredVariables:
    """The variables of a plan that their tasks can transfer, and their layout in data files."""

    def __init__(self, plan: ExportPlan, transfers: Mapping[str, Transfer], *, several_files: bool = False) -> None:
        """``transfers`` are those of the source that has staged ``plan``; a plan of what is written.

        ``several_files`` gives each of them a data file of its own, however little it is.
        """
        self._transfers = transfers
        # In the order of the copies they are neighbours in the file, too, and move in one piece.
        self._variables = [variable for variable in plan.by_place if self._can_transfer(variable)]
        self._keys = {variable.key for variable in self._variables}
        tasks = sorted({_home(variable) for variable in self._variables})
        if plan.nbytes < SEVERAL_FILES_FROM_BYTES and not several_files:
            tasks = tasks[:1]
        self._file_of = {task: number for number, task in enumerate(tasks)}

    def __contains__(self, variable: LogicalVariable) -> bool:
        return variable.key in self._keys

    @property
    def data_files(self) -> int:
        """How many data files the bundle should have, at least 1."""
        return max(1, len(self._file_of))

    def transfer(self, writer: BundleWriter, progress: Progress, *, sync: bool, aside: bool = False) -> None:
        """Move all variables into their places. Raises as :class:`Transfer` does, when all tasks have stopped."""
        moves: dict[str, list[tuple[EntryWriter, Span]]] = {task: [] for task in self._transfers}
        for variable in self._variables:
            file = self._file_of.get(_home(variable), 0)
            entry = writer.begin(variable.name, variable.dtype, variable.shape or (), file, of=variable.slice)
            for piece in variable.pieces:
                moves[piece.task].extend(_moves(variable, piece, entry))
        if not self._variables:
            return
        writer.extend_files()
        stop = threading.Event()
        with ThreadPoolExecutor(
            len(moves), thread_name_prefix="transfer", initializer=yield_to_training if aside else None
        ) as pool:
            try:
                running = [
                    pool.submit(_transfer_from, self._transfers[task], of_task, progress, stop, sync)
                    for task, of_task in moves.items()
                ]
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                stop.set()  # all are through, or one has failed, or the program is interrupted
        for future in running:
            future.result()

    def _can_transfer(self, variable: LogicalVariable) -> bool:
        if not variable.pieces or variable.shape is None or item_bytes(variable.dtype) is None:
            return False
        return all(
            piece.shape[1:] == variable.shape[1:]
            and piece.task in self._transfers
            and self._transfers[piece.task].holds(piece)
            for piece in variable.pieces
        )


def _transfer_from(
    transfer: Transfer,
    moves: list[tuple[EntryWriter, Span]],
    progress: Progress,
    stop: threading.Event,
    sync: bool,
) -> None:
    for path, to_file in groupby(moves, lambda move: move[0].path):
        of_file = list(to_file)
        begun = 0
        for checksums in transfer.move([span for _, span in of_file], path, sync=sync):
            done = of_file[begun : begun + len(checksums)]
            for crc, (entry, span) in zip(checksums, done, strict=True):
                entry.written(span.offset - entry.offset, span.nbytes, crc)
            progress.advance(sum(span.nbytes for _, span in done))
            begun += len(checksums)
            if stop.is_set():
                return


def _moves(variable: LogicalVariable, piece: Piece, entry: EntryWriter) -> Iterator[tuple[EntryWriter, Span]]:
    item = item_bytes(variable.dtype) or 0
    first = math.prod(piece.shape[1:]) * item * piece.offset[0] if piece.shape else 0
    nbytes = math.prod(piece.shape) * item
    for start in range(0, nbytes, _SPAN_BYTES):
        yield entry, Span(piece, start, min(_SPAN_BYTES, nbytes - start), entry.offset + first + start)


def _home(variable: LogicalVariable) -> str:
    """The task whose data file holds the variable."""
    return variable.pieces[0].task
