"""A SavedModel on disk: its files, graphs and variables, and the manifest if this package has written it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autodist_saved.bundle import BundleReader
from autodist_saved.errors import BundleError, ModelError
from autodist_saved.graph.stored.meta_graph import MetaGraph
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.loadable import decode_graphs, graph_file, has_variables
from autodist_saved.publish.manifest import read_manifest
from autodist_saved.report.report import ExportReport
from autodist_saved.saved_models.model_directory import find_model
from autodist_saved.system.error_translation import reading
from autodist_saved.system.foreign_files import size_of
from autodist_saved.system.paths import exists
from autodist_saved.tf_internals.start_up_log import start_up_log_hidden


@dataclass(frozen=True)
class SavedModel:
    """An opened model. The values of its variables are not in memory; ``variables`` reads them.

    Attributes:
        files: the paths of its files.
        graphs: its graphs, in the order in which they were added.
        variables: reader of its variables; None if it has none, or if they are damaged.
        manifest: None if another program has written the model, or if the manifest is damaged.
        damage: the errors of the parts that could not be read and are None.
    """

    files: SavedModelFiles
    graphs: tuple[MetaGraph, ...]
    variables: BundleReader | None
    manifest: ExportReport | None
    damage: tuple[BundleError | ModelError, ...] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """Size of every file in bytes, by relative path."""
        with reading(self.files.root):
            return {name: size_of(path, self.files.root) for name, path in self.files.all().items()}


def open_model(path: Path, *, partly: bool = False) -> SavedModel:
    """Read a model without the values of its variables. A damaged manifest does not raise; it is in ``damage``.

    Args:
        path: the model's directory.
        partly: damaged variables do not raise either.

    Raises:
        UsageError: the directory contains no model.
        ModelError: the files of its graphs are missing or damaged.
        BundleError: the files of its variables are missing or damaged.
        UnreadableError: a file cannot be read.
    """
    variables: BundleReader | None = None
    manifest: ExportReport | None = None
    damage: list[BundleError | ModelError] = []
    with reading(path):
        files = find_model(path)
        graphs = read_graphs(files)
        try:
            if has_variables(files, graphs):
                variables = BundleReader(files.variables_prefix, root=files.root)
        except BundleError as error:
            if not partly:
                raise
            damage.append(error)
        try:
            manifest = read_manifest(path) if exists(files.manifest) else None
        except ModelError as error:
            damage.append(error)
    return SavedModel(files, graphs, variables, manifest, tuple(damage))


def read_graphs(files: SavedModelFiles) -> tuple[MetaGraph, ...]:
    """Read the graphs of a model. There is at least one.

    Raises:
        ModelError: ``saved_model.pb``, or ``saved_model.pbtxt``, is missing or damaged.
        UnreadableError: the file cannot be read.
    """
    path, contents = graph_file(files)
    return decode_graphs(path, contents if path == files.saved_model else _of_text(path, contents))


def _of_text(path: Path, contents: bytes) -> bytes:
    """The binary form of a graph in text form. This loads TensorFlow, which has the names of all fields."""
    with start_up_log_hidden():
        from autodist_saved.graph.saved_model import binary_form

    try:
        return binary_form(contents)
    except ValueError as error:
        raise ModelError(f"{path}: it is damaged or truncated ({error}); copy it again", path=str(path)) from error
