"""A SavedModel on disk: its graphs, its variables, its files, and the manifest where it is ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from autodist_saved.bundle import BundleReader
from autodist_saved.bundle.files import index_path
from autodist_saved.errors import BundleError, ModelError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.manifest import read_manifest
from autodist_saved.report.report import ExportReport
from autodist_saved.saved_models import saved_model_pb2
from autodist_saved.saved_models.meta_graph import MetaGraph
from autodist_saved.saved_models.place import find_model
from autodist_saved.system.error_translation import reading
from autodist_saved.system.paths import exists
from autodist_saved.tf_internals.start_up_log import start_up_log_hidden


@dataclass(frozen=True)
class SavedModel:
    """What a model says of itself. Bytes of variables are read when they are asked for.

    Attributes:
        files: where they are.
        graphs: in the order in which they were added.
        variables: None where the model has none.
        manifest: None where the model is not ours.
        damage: why what is None could not be read.
    """

    files: SavedModelFiles
    graphs: tuple[MetaGraph, ...]
    variables: BundleReader | None
    manifest: ExportReport | None
    damage: tuple[BundleError | ModelError, ...] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of every file, by path in the model."""
        with reading(self.files.root):
            return {name: path.stat().st_size for name, path in self.files.all().items()}


def open_model(path: Path, *, partly: bool = False) -> SavedModel:
    """Read the model in the directory ``path``, without the bytes of its variables. It may have a damaged manifest.

    Args:
        path: of the model.
        partly: it may have damaged variables, too.

    Raises:
        UsageError: there is no model.
        ModelError: its files are missing or damaged.
        BundleError: those of its variables are.
        UnreadableError: they cannot be read.
    """
    variables: BundleReader | None = None
    manifest: ExportReport | None = None
    damage: list[BundleError | ModelError] = []
    with reading(path):
        files = find_model(path)
        graphs = read_graphs(files)
        try:
            variables = BundleReader(files.variables_prefix) if has_variables(files, graphs) else None
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
    """The graphs of a model, one at least.

    Raises:
        ModelError: the file that holds them is missing or damaged.
        UnreadableError: it cannot be read.
    """
    path = files.saved_model if exists(files.saved_model) else files.saved_model_text
    with reading(path):
        contents = path.read_bytes()
    try:
        proto = saved_model_pb2.SavedModel.FromString(contents if path == files.saved_model else _of_text(contents))
        graphs = tuple(map(MetaGraph, proto.meta_graphs))
    except (DecodeError, ValueError) as error:
        raise ModelError(
            f"{path}: it is damaged or was cut short ({error}); copy it again", path=str(path)
        ) from error
    if not graphs:
        raise ModelError(f"{path}: it holds no graph, so it was cut short; copy it again", path=str(path))
    return graphs


def has_variables(files: SavedModelFiles, graphs: tuple[MetaGraph, ...]) -> bool:
    """Whether there are variables, or should be: TensorFlow loads a model without its variables and says nothing."""
    return exists(index_path(files.variables_prefix)) or any(graph.restores_variables for graph in graphs)


def _of_text(contents: bytes) -> bytes:
    """TensorFlow is loaded for it: the names of all fields are needed."""
    with start_up_log_hidden():
        from autodist_saved.graph.saved_model import binary_form

    return binary_form(contents)
