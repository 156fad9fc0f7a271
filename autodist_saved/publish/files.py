"""The paths of the files of a SavedModel. Only the code that writes a file to ``assets.extra/`` knows its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autodist_saved.bundle.data_file import DataFiles
from autodist_saved.graph.arguments.extra_files import OUR_DIRECTORY
from autodist_saved.system.foreign_files import files_in
from autodist_saved.system.paths import is_file


@dataclass(frozen=True)
class SavedModelFiles:
    """The paths of the files of one SavedModel, published or staged.

    Attributes:
        root: the model's directory.
        uploads: takes the data files of variables if they are not written below ``root``; else None.
    """

    root: Path
    uploads: DataFiles | None = None

    @property
    def saved_model(self) -> Path:
        """Graphs and signatures. Loaders regard a directory as a model if this file exists."""
        return self.root / "saved_model.pb"

    @property
    def saved_model_text(self) -> Path:
        """The same as text. Loaders also accept it."""
        return self.root / "saved_model.pbtxt"

    @property
    def graphs(self) -> tuple[Path, Path]:
        """Binary and text file; a model has one of them."""
        return self.saved_model, self.saved_model_text

    @property
    def is_model(self) -> bool:
        """Whether loaders regard the directory as a model."""
        return any(is_file(path) for path in self.graphs)

    @property
    def saved_model_chunks(self) -> Path:
        """The same in chunks, in which TensorFlow stores graphs of more than 2 GiB."""
        return self.root / "saved_model.cpb"

    @property
    def keras_metadata(self) -> Path:
        """Description of the layers, which Keras 2 writes."""
        return self.root / "keras_metadata.pb"

    @property
    def variables(self) -> Path:
        """Directory of the tensor bundle."""
        return self.root / "variables"

    @property
    def variables_prefix(self) -> str:
        """Prefix of the tensor bundle's files."""
        return str(self.variables / "variables")

    @property
    def data_prefix(self) -> Path:
        """Prefix of the data files, which may be in another place than the index."""
        return self._data_directory / "variables"

    def is_data_file(self, path: Path) -> bool:
        """Whether ``path`` is a data file of variables."""
        return path.parent == self._data_directory and path.suffix != ".index"

    def all(self) -> dict[str, Path]:
        """The paths of all files that exist, by relative path. Raises ``OSError``."""
        uploaded = {} if self.uploads is None else files_in(self.uploads.directory)
        return files_in(self.root) | {f"{self.variables.name}/{name}": path for name, path in uploaded.items()}

    @property
    def _data_directory(self) -> Path:
        return self.variables if self.uploads is None else self.uploads.directory

    @property
    def assets(self) -> Path:
        """Directory of the files that the graph reads."""
        return self.root / "assets"

    @property
    def fingerprint(self) -> Path:
        """The fingerprint, which ``tf.saved_model.experimental.read_fingerprint`` reads."""
        return self.root / "fingerprint.pb"

    @property
    def assets_extra(self) -> Path:
        """Directory of files that the graph does not read."""
        return self.root / "assets.extra"

    @property
    def manifest(self) -> Path:
        """The manifest: our report of the export."""
        return self.assets_extra / OUR_DIRECTORY / "manifest.json"
