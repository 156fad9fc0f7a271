"""Streaming: staged pieces become the data files of ``variables/``, in memory that does not grow with them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle
from pathlib import Path
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
    """What was streamed of a plan.

    Attributes:
        nbytes: bytes of the data files.
        ways: for each task how its pieces came, if they could be transferred directly: ``stream`` or ``shared``, or
            ``read``, where it has no transfer.
    """

    nbytes: int
    ways: dict[str, str]


@dataclass(frozen=True)
class BundleDestination:
    """Where a bundle is written.

    Attributes:
        prefix: of its files, in a directory that is there, if there are variables.
        data_files: how many the bundle has at least.
        sync: have tasks that write files themselves flush them to the disk. What is written here is not.
        uploads: take the data files, where they are not to be beside the index. Nothing is transferred directly then:
            they grow in order.
    """

    prefix: str
    data_files: int = 1
    sync: bool = False
    uploads: DataFiles | None = None

    @property
    def shared_directory(self) -> Path | None:
        """Where other tasks may write data files, if they see it; None where no other task can."""
        return Path(self.prefix).parent if self.uploads is None else None


@contextmanager
def streaming(
    plan: ExportPlan,
    source: Source,
    destination: BundleDestination,
    options: ExportOptions,
    *,
    training_waits: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Iterator[Streamed]:
    """Write every variable of a staged plan as an entry of a bundle, dense or in slices.

    What a task can transfer directly goes into its place as a whole, all tasks at once. The rest is read here, band
    by band; the memory that takes is bounded by the budget (or the longest row, or string variable). The bundle's
    index is written last, after the block; when that, or this, raises an error there is none, and no data file.

    Of no variables nothing is written at all.

    Args:
        plan: what the source has staged.
        source: where to read.
        destination: of the bundle.
        options: for chunks and budget.
        training_waits: the job stands still meanwhile, so this may have the processor before it.
        advance: called whenever something was written.

    Yields:
        once, when all bytes are there, under other names still.
    """
    if not plan.variables:
        yield Streamed(0, {})
        return
    plan = plan.stored
    uploads, data_files = destination.uploads, destination.data_files
    transfers = source.transfers() if uploads is None else {}
    direct = TransferredVariables(plan, transfers, several_files=data_files > 1)
    open_data_file = DiskFile if uploads is None else partial(uploads.open, nbytes=plan.nbytes)
    rest = ExportPlan(tuple(variable for variable in plan.variables if variable not in direct))
    with BundleWriter(
        destination.prefix, max(data_files, direct.data_files), open_data_file=open_data_file
    ) as writer:
        with Progress("streaming", plan.nbytes, advance) as progress:
            direct.transfer(writer, progress, sync=destination.sync, aside=not training_waits)
            _read(rest, source, writer, progress, options, data_files)
        ways = {task: transfers[task].way if task in transfers else "read" for task in plan.tasks()}
        yield Streamed(writer.nbytes, ways)


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
    batches = [*plan.small(chunk_bytes), *plan.batches(chunk_bytes)]
    together = {variable.key for batch in batches for variable in batch}
    large = [variable for variable in plan.variables if variable.key not in together]
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
                writer.add_strings(variable.name, variable.shape or (), strings, of=variable.slice)
                progress.advance(0)  # its bytes are in no plan
                continue
            entry = writer.begin(variable.name, variable.dtype, variable.shape or (), next(files), of=variable.slice)
            for _ in _bands(variable, chunk_bytes):
                band = np.ascontiguousarray(next(arrays))
                entry.append(band)
                progress.advance(band.nbytes)
        for batch in batches:
            for variable, array in zip(batch, next(arrays), strict=True):
                entry = writer.begin(
                    variable.name, variable.dtype, variable.shape or (), next(files), of=variable.slice
                )
                entry.append(np.ascontiguousarray(array))
                progress.advance(variable.nbytes)


def _together(batch: Sequence[LogicalVariable], source: Source) -> list[Array]:
    """The values of small variables, in one read."""
    pieces = [piece for variable in batch for piece in variable.pieces]
    arrays = dict(zip((piece.index for piece in pieces), source.read_together(pieces), strict=True))
    return [_put_together(variable, arrays) for variable in batch]


def _put_together(variable: LogicalVariable, arrays: Mapping[int, Array]) -> Array:
    """The value of a variable, from those of its pieces by their index."""
    for piece in variable.pieces:
        _check(variable, piece, arrays[piece.index], piece.shape)
    if len(variable.pieces) == 1:
        return arrays[variable.pieces[0].index]
    whole: Array = np.empty(variable.shape or (), numpy_dtype(variable.dtype))
    for piece in variable.pieces:
        window = (slice(at, at + extent) for at, extent in zip(piece.offset, piece.shape, strict=True))
        whole[tuple(window)] = arrays[piece.index]
    return whole


def _bands(variable: LogicalVariable, chunk_bytes: int) -> Iterator[Band]:
    """The bands to read one by one. Strings come in one band, because the size of their rows is not known."""
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
    """Raise for what is not as it was planned. NumPy would broadcast and convert it silently."""
    if rows.shape != planned or rows.dtype != numpy_dtype(variable.dtype):
        found = f"{rows.dtype.name} {list(rows.shape)}"
        raise misplanned(variable.name, piece, found, f"{variable.dtype} {list(planned)}")
