"""Streaming: staged pieces become the data files of ``variables/``, band by band, in bounded memory."""

from __future__ import annotations

import sys

import numpy as np

from autodist_saved.bundle.dtypes import numpy_dtype
from autodist_saved.bundle.writer import BundleWriter
from autodist_saved.plan import Band, ExportPlan, LogicalVariable
from autodist_saved.sources.source import Array, Source


def stream(plan: ExportPlan, source: Source, prefix: str, chunk_bytes: int) -> int:
    """Write every variable of a staged plan as one dense entry of the bundle ``prefix``.

    The memory it takes grows with ``chunk_bytes`` (or the longest row, or string variable) and not with the
    variables. The bundle's index is written last; when an error is raised there is none.

    Returns:
        bytes of tensor data written.
    """
    written = 0
    with BundleWriter(prefix) as writer:
        for variable in plan.variables:
            if variable.shape is None:
                raise ValueError(f"{variable.name!r} was not staged")
            if variable.dtype == "string":
                strings: list[bytes] = _assemble(variable, _whole(variable), source).ravel().tolist()
                writer.add_strings(variable.name, variable.shape, strings)
                written += sum(map(len, strings))
                continue
            entry = writer.begin(variable.name, variable.dtype, variable.shape)
            for band in variable.bands(chunk_bytes):
                rows = _assemble(variable, band, source)
                entry.append(np.ascontiguousarray(rows))
                written += rows.nbytes
            entry.finish()
    return written


def _whole(variable: LogicalVariable) -> Band:
    """The band that holds all of a variable: strings have no rows of known size to be cut into."""
    bands = list(variable.bands(chunk_bytes=sys.maxsize))
    return bands[0] if bands else Band(0, 0, ())


def _assemble(variable: LogicalVariable, band: Band, source: Source) -> Array:
    """The rows of one band, from whichever pieces hold them, in row-major order."""
    shape = variable.shape or ()
    if len(band.parts) == 1 and band.parts[0].piece.shape[1:] == shape[1:]:
        (part,) = band.parts
        return source.read(part.piece, part.start, part.stop)
    rows: Array = np.empty((band.stop - band.start, *shape[1:]), numpy_dtype(variable.dtype))
    for part in band.parts:
        first = part.piece.offset[0] + part.start - band.start
        columns = tuple(
            slice(offset, offset + extent)
            for offset, extent in zip(part.piece.offset[1:], part.piece.shape[1:], strict=True)
        )
        window = (slice(first, first + part.stop - part.start), *columns)
        rows[window] = source.read(part.piece, part.start, part.stop)
    return rows
