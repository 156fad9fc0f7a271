"""Restoring: from a checkpoint, or the ``variables/`` of a SavedModel, into the pieces of a job.

It streams like an export, under one memory budget, and onto whatever partitioning the job has now. It raises for what
does not fit before it changes anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from autodist_saved.bundle.damage import reporting
from autodist_saved.bundle.files import index_path
from autodist_saved.bundle.reader import BundleReader
from autodist_saved.errors import Problem, RestoreError
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.prefetch import HELD_BYTES_PER_BYTE, chunk_within, prefetch
from autodist_saved.plan import Band, ExportPlan, LogicalVariable, PieceRows
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.sources.sink import Sink
from autodist_saved.system.foreign_files import size_of
from autodist_saved.system.paths import is_url
from autodist_saved.system.progress import Progress

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def restore(prefix: str, sink: Sink, options: ExportOptions) -> None:
    """Restore every variable of a sink from a bundle, dense or sliced, that we or TensorFlow have written.

    Args:
        prefix: of the bundle's files.
        sink: the job.
        options: for chunks and budget: bytes that are read and not yet written. A single row, and a variable that is
            written whole (a small one, strings, tables), may exceed the budget.

    Raises:
        BundleError: the files are damaged; nothing was changed.
        RestoreError: variables are missing in it, or differ in shape or type. It names all; nothing was changed.
    """
    reader = BundleReader(prefix)
    plan = _fitting(sink.plan(), reader, prefix)
    for variable in plan.variables:
        reader.verify(variable.name)
    sink.allocate()
    chunk_bytes = chunk_within(options.chunk_bytes, options.memory_budget_bytes)
    writes = (
        (HELD_BYTES_PER_BYTE * variable.band_nbytes(band), partial(_copy, reader, variable, band, sink))
        for variable in plan.variables
        for band in _bands(variable, sink, chunk_bytes)
    )
    with (
        Progress("restoring", plan.nbytes) as progress,
        closing(prefetch(writes, budget_bytes=options.memory_budget_bytes)) as written,
    ):
        for nbytes in written:
            progress.advance(nbytes)


def check_is_no_directory(prefix: object) -> None:
    """Raise ``RestoreError`` for the directory of a SavedModel, or of checkpoints, in place of a checkpoint."""
    if not isinstance(prefix, str | os.PathLike) or is_url(prefix) or index_path(os.fspath(prefix)).is_file():
        return
    directory = Path(prefix)
    if not directory.is_dir():
        return
    what, fix = "this is a directory, and no checkpoint", "name a checkpoint in it: tf.train.latest_checkpoint(...)"
    if (model := SavedModelFiles(directory)).is_model:
        what, fix = "this is the directory of a SavedModel", f"name {model.variables_prefix}"
    raise RestoreError(
        "Restoring from checkpoint failed; nothing was changed",
        problems=[Problem(os.fspath(prefix), what, fix)],
        path=os.fspath(prefix),
    )


def is_streamable(prefix: str) -> bool:
    """Whether ``prefix`` is a bundle of named variables on this machine's file system.

    TensorFlow itself restores all else: checkpoints of its first format, other file systems, and object-based
    checkpoints, whose keys are no variable names.

    Raises:
        BundleError: its files are damaged, or are no files.
    """
    if is_url(prefix):
        return False
    if not os.path.lexists(index_path(prefix)):
        if os.path.lexists(
            prefix
        ):  # it may be a checkpoint of the first format, and TensorFlow would wait for a pipe
            with reporting(Path(prefix)):
                size_of(Path(prefix))
        return False
    return _OBJECT_GRAPH not in BundleReader(prefix).entries


def _fitting(plan: ExportPlan, reader: BundleReader, prefix: str) -> ExportPlan:
    """The plan with the shapes that only the bundle knows. Raises ``RestoreError``, in TensorFlow's own words."""
    problems, variables, missing = [], [], []
    for variable in plan.variables:
        place = f"variable {variable.name!r}"
        entry = reader.entries.get(variable.name)
        if entry is None:
            fix = "restore with a Saver whose var_list leaves it out, or from a checkpoint that has it"
            problems.append(Problem(place, f"Key {variable.name} not found in checkpoint", fix))
            missing.append(variable.name)
        elif entry.dtype != variable.dtype:
            what = f"expected dtype {variable.dtype} does not equal original dtype {entry.dtype}"
            problems.append(Problem(place, what, "build the graph that was saved"))
        elif variable.shape not in {None, entry.shape}:
            there, here = list(entry.shape), list(variable.shape or ())
            what = f"Assign requires shapes of both tensors to match: it is {there} there, and {here} here"
            fix = "build the graph that was saved, or restore with Saver(reshape=True)"
            problems.append(Problem(place, what, fix))
        else:
            variables.append(variable if variable.shape is not None else variable.with_shape(entry.shape))
    if problems:
        differs = "a mismatch between the current graph and the graph"
        cause = "a Variable name or other graph key that is missing" if missing else differs
        told = f"Restoring from checkpoint failed, due to {cause} from the checkpoint; nothing was changed"
        raise RestoreError(told, problems=problems, path=prefix, missing=missing)
    return ExportPlan(tuple(variables))


def _bands(variable: LogicalVariable, sink: Sink, chunk_bytes: int) -> Iterator[Band]:
    whole = any(sink.writes_whole(piece) for piece in variable.pieces)
    bands = list(variable.bands(sys.maxsize if whole else chunk_bytes))
    # A variable without rows has no band, but its (empty) value has to be assigned all the same.
    return iter(bands or [Band(0, 0, tuple(PieceRows(piece, 0, 0) for piece in variable.pieces))])


def _copy(reader: BundleReader, variable: LogicalVariable, band: Band, sink: Sink) -> int:
    rows = reader.read_rows(variable.name, band.start, band.stop)
    for part in band.parts:
        sink.write(part.piece, part.start, rows[part.window(band)])
    return variable.band_nbytes(band)
