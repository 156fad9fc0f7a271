"""What keeps a loader from loading a model: damage of its graphs, and of the assets and variables that they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.message import DecodeError

from autodist_saved.bundle import BundleReader
from autodist_saved.bundle.files import index_path
from autodist_saved.bundle.restorable import why_unrestorable
from autodist_saved.errors import BundleError, ModelError, Problem
from autodist_saved.graph.stored import saved_model_pb2
from autodist_saved.graph.stored.meta_graph import MetaGraph
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.system.error_translation import reading
from autodist_saved.system.foreign_files import NotAFileError, is_path_inside, read_file, size_of
from autodist_saved.system.paths import exists

_EXPORT = "export the model again, with the version of autodist-saved that you have now"
_GRAPHS_BYTES = 2**31 - 1  # the most that a message of protobuf can have


def loading_problems(files: SavedModelFiles, fix: str) -> Iterator[Problem]:
    """Find what would keep a loader from loading the model. Reads no values of variables.

    Graphs as text are taken for good: only TensorFlow can read them.

    Args:
        files: of the model.
        fix: what to do about a problem.

    Raises:
        UnreadableError: a file cannot be read.
    """
    try:
        path, contents = graph_file(files)
        graphs = decode_graphs(path, contents) if path == files.saved_model else ()
        reader = BundleReader(files.variables_prefix, root=files.root) if has_variables(files, graphs) else None
    except (BundleError, ModelError) as error:
        yield Problem.of(error, str(error.path), fix)
        return
    yield from asset_problems(files, graphs, fix)
    if reader is not None:
        yield from unrestorable_variables(files, reader, graphs, fix)


def graph_file(files: SavedModelFiles) -> tuple[Path, bytes]:
    """The file that holds the graphs, which is ``saved_model.pb`` or ``saved_model.pbtxt``, and its contents.

    Raises:
        ModelError: there is none, or it is no file.
        UnreadableError: it cannot be read.
    """
    path = files.saved_model if exists(files.saved_model) else files.saved_model_text
    with reading(path):
        return path, read_file(path, _GRAPHS_BYTES, files.root)


def decode_graphs(path: Path, contents: bytes) -> tuple[MetaGraph, ...]:
    """Decode the graphs of a model. There is at least one.

    Args:
        path: the file in which they are, for messages.
        contents: the graphs in binary form.

    Raises:
        ModelError: the graphs are damaged.
    """
    try:
        graphs = tuple(map(MetaGraph, saved_model_pb2.SavedModel.FromString(contents).meta_graphs))
    except (DecodeError, ValueError) as error:
        raise ModelError(f"{path}: it is damaged or truncated ({error}); copy it again", path=str(path)) from error
    if not graphs:
        raise ModelError(f"{path}: it contains no graph, so it is truncated; copy it again", path=str(path))
    return graphs


def has_variables(files: SavedModelFiles, graphs: Sequence[MetaGraph]) -> bool:
    """Whether the model has variables, or lacks those that its graphs restore.

    The second matters because TensorFlow loads a model whose variables are missing without an error.
    """
    return exists(index_path(files.variables_prefix)) or any(graph.restores_variables for graph in graphs)


def asset_problems(files: SavedModelFiles, graphs: Sequence[MetaGraph], fix: str) -> Iterator[Problem]:
    """Find assets that graphs read, and that are missing, no files, or not in the model.

    Args:
        files: of the model.
        graphs: its graphs.
        fix: what to do about a problem.

    Raises:
        UnreadableError: it cannot be found out whether a file is there.
    """
    for name in sorted({name for graph in graphs for name in graph.assets}):
        place = f"{files.assets.name}/{name}"
        if not is_path_inside(name):
            yield Problem(place, "a graph reads it, and the name leads out of the model", fix)
            continue
        path = files.assets / name
        try:
            with reading(path):
                size_of(path, files.root)
        except ModelError as error:
            cause = error.__cause__
            what = cause.what if isinstance(cause, NotAFileError) else "it is missing"
            yield Problem(place, f"a graph reads it, and {what}", fix)


def unrestorable_variables(
    files: SavedModelFiles, reader: BundleReader, graphs: Sequence[MetaGraph], fix: str
) -> Iterator[Problem]:
    """Find variables that graphs restore, and that the bundle does not have, or not in a form that they can restore.

    Args:
        files: of the model.
        reader: of its variables.
        graphs: its graphs.
        fix: what to do about a problem.
    """
    for graph in graphs:
        try:
            restored = graph.restored
        except ModelError as error:
            yield Problem.of(error, files.saved_model.name, fix)
            continue
        for name, read in restored.items():
            place, entry = f"variable {name!r}", reader.entries.get(name)
            if entry is None:
                yield Problem(place, "a graph restores it, and it is missing", fix)
            elif what := why_unrestorable(entry.dtype, entry.slices, read):
                yield Problem(place, what, _EXPORT)
