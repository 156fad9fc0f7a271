"""Streaming: staged pieces become the data files of ``variables/``, in memory that does not grow with them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle
from typing import Any

import numpy as np

from autodist_saved.bundle.data_file import DataFiles, DiskFile
from autodist_saved.bundle.dtypes import numpy_dtype
from autodist_saved.bundle.writer import BundleWriter
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.direct_transfer import TransferredVariables
from autodist_saved.pipeline.prefetch import HELD_BYTES_PER_BYTE, chunk_within, prefetch
from autodist_saved.plan import Band, ExportPlan, LogicalVariable, Piece, PieceRows, Shape
from autodist_saved.sources.source import Array, Source, misplanned
from autodist_saved.system.progress import Progress


@dataclass(frozen=True)
class Streamed:
    """What has become of a plan.

    Attributes:
        nbytes: bytes of the data files.
        ways: for each task by which way its pieces came, if they could be carried: ``stream`` or ``shared``, or
            ``read``, where it has no carrier.
    """

    nbytes: int
    ways: dict[str, str]


def stream(
    plan: ExportPlan,
    source: Source,
    prefix: str,
    options: ExportOptions,
    *,
    data_files: int = 1,
    sync: bool = False,
    aside: bool = False,
    uploads: DataFiles | None = None,
    confirm: Callable[[], None] = lambda: None,
) -> Streamed:
    """Write every variable of a staged plan as one dense entry of the bundle ``prefix``.

    What a carrier can bring goes into its place as a whole, all tasks at once. The rest is read here, band by band;
    the memory that takes is bounded by the budget (or the longest row, or string variable). The bundle's index is
    written last; when an error is raised there is none.

    Of no variables nothing is written at all.

    Args:
        plan: what the source has staged.
        source: where to read.
        prefix: of the bundle's files, in a directory that is there.
        options: for chunks and budget.
        data_files: how many the bundle has at least.
        sync: have tasks that write files themselves flush them to the disk. What is written here is not.
        aside: the job goes on meanwhile, and is to have the processor before this.
        uploads: take the data files, where they are not to be beside the index. Nothing is carried then: they grow
            in order.
        confirm: called when all bytes are there, under other names still; when it raises, they are removed again.
    """
    if not plan.variables:
        confirm()
        return Streamed(0, {})
    transfers = source.transfers() if uploads is None else {}
    carried = TransferredVariables(plan, transfers, several_files=data_files > 1)
    open_data_file = DiskFile if uploads is None else partial(uploads.open, nbytes=plan.nbytes)
    rest = ExportPlan(tuple(variable for variable in plan.variables if variable not in carried))
    with (
        BundleWriter(prefix, max(data_files, carried.data_files), open_data_file=open_data_file) as writer,
        Progress("streaming", plan.nbytes) as progress,
    ):
        carried.carry(writer, progress, sync=sync, aside=aside)
        _read(rest, source, writer, progress, options, data_files)
        nbytes = writer.nbytes
        confirm()
    return Streamed(nbytes, {task: transfers[task].way if task in transfers else "read" for task in plan.tasks()})


def _read(
    plan: ExportPlan,
    source: Source,
    writer: BundleWriter,
    progress: Progress,
    options: ExportOptions,
    data_files: int,
) -> None:
    """Read variables band by band and write them in order, into so many data files in turn."""
    files = cycle(range(data_files))
    chunk_bytes = chunk_within(options.chunk_bytes, options.memory_budget_bytes)
    large, batches = plan.unpacked(), list(plan.batches(chunk_bytes))
    reads: Iterator[tuple[int, Callable[[], Any]]] = chain(
        (
            (HELD_BYTES_PER_BYTE * variable.band_nbytes(band), partial(_assemble, variable, band, source))
            for variable in large
            for band in _bands(variable, chunk_bytes)
        ),
        (
            (HELD_BYTES_PER_BYTE * sum(one.nbytes for one in batch), partial(_together, batch, source))
            for batch in batches
        ),
    )
    arrays: Generator[Any, None, None] = prefetch(reads, budget_bytes=options.memory_budget_bytes)
    with closing(arrays):
        for variable in large:
            if variable.dtype == "string":
                strings: list[bytes] = [text for _ in _bands(variable, 0) for text in next(arrays).ravel().tolist()]
                writer.add_strings(variable.name, variable.shape or (), strings)
                continue
            entry = writer.begin(variable.name, variable.dtype, variable.shape or (), next(files))
            for _ in _bands(variable, chunk_bytes):
                band = np.ascontiguousarray(next(arrays))
                entry.append(band)
                progress.advance(band.nbytes)
        for batch in batches:
            for variable, array in zip(batch, next(arrays), strict=True):
                entry = writer.begin(variable.name, variable.dtype, variable.shape or (), next(files))
                entry.append(np.ascontiguousarray(array))
                progress.advance(variable.nbytes)


def _together(batch: Sequence[LogicalVariable], source: Source) -> list[Array]:
    """The values of small variables that are neighbours in their source, in one read."""
    arrays = source.read_together([variable.pieces[0] for variable in batch])
    for variable, array in zip(batch, arrays, strict=True):
        _check(variable, variable.pieces[0], array, variable.shape or ())
    return arrays


def _bands(variable: LogicalVariable, chunk_bytes: int) -> Iterator[Band]:
    """The bands that are read one by one; strings in one, for they have no rows of known size to be cut into."""
    return variable.bands(sys.maxsize if variable.dtype == "string" else chunk_bytes)


def _assemble(variable: LogicalVariable, band: Band, source: Source) -> Array:
    """The rows of one band, from whichever pieces hold them, in row-major order."""
    shape = variable.shape or ()
    if len(band.parts) == 1 and band.parts[0].piece.shape[1:] == shape[1:]:
        (part,) = band.parts
        return _rows(variable, part, source)
    rows: Array = np.empty((band.stop - band.start, *shape[1:]), numpy_dtype(variable.dtype))
    for part in band.parts:
        rows[part.window(band)] = _rows(variable, part, source)
    return rows


def _rows(variable: LogicalVariable, part: PieceRows, source: Source) -> Array:
    rows = source.read(part.piece, part.start, part.stop)
    _check(variable, part.piece, rows, (part.stop - part.start, *part.piece.shape[1:]) if part.piece.shape else ())
    return rows


def _check(variable: LogicalVariable, piece: Piece, rows: Array, planned: Shape) -> None:
    """Refuse what is not as it was planned: NumPy would stretch and convert it without a word."""
    if rows.shape != planned or rows.dtype != numpy_dtype(variable.dtype):
        found = f"{rows.dtype.name} {list(rows.shape)}"
        raise misplanned(variable.name, piece, found, f"{variable.dtype} {list(planned)}")
