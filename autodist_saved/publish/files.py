"""Where the files of a SavedModel are. What is in ``assets.extra/`` is named by those who put it there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autodist_saved.bundle.data_file import DataFiles
from autodist_saved.graph.arguments.extra_files import OUR_DIRECTORY
from autodist_saved.system.paths import files_below, is_file


@dataclass(frozen=True)
class SavedModelFiles:
    """The files under one SavedModel directory, whether it is visible already or still being written.

    Attributes:
        root: the directory.
        uploads: where data files of variables go that do not grow below ``root``.
    """

    root: Path
    uploads: DataFiles | None = None

    @property
    def saved_model(self) -> Path:
        """Graphs and signatures. A loader takes a directory for a model when this file is there."""
        return self.root / "saved_model.pb"

    @property
    def saved_model_text(self) -> Path:
        """The same as text, for people."""
        return self.root / "saved_model.pbtxt"

    @property
    def graphs(self) -> tuple[Path, Path]:
        """Both of them; loaders look for either."""
        return self.saved_model, self.saved_model_text

    @property
    def is_model(self) -> bool:
        """Whether loaders take the directory for a model."""
        return any(is_file(path) for path in self.graphs)

    @property
    def saved_model_chunks(self) -> Path:
        """The same in chunks, as TensorFlow stores graphs beyond 2 GiB."""
        return self.root / "saved_model.cpb"

    @property
    def keras_metadata(self) -> Path:
        """What Keras 2 knows of its layers."""
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
        """The same of the files that hold bytes of variables."""
        return self._data_directory / "variables"

    def is_data_file(self, path: Path) -> bool:
        """Whether ``path`` holds bytes of variables."""
        return path.parent == self._data_directory and path.suffix != ".index"

    def all(self) -> dict[str, Path]:
        """Every file, by path in the model. Raises ``OSError``."""
        uploaded = {} if self.uploads is None else files_below(self.uploads.directory)
        return files_below(self.root) | {f"{self.variables.name}/{name}": path for name, path in uploaded.items()}

    @property
    def _data_directory(self) -> Path:
        return self.variables if self.uploads is None else self.uploads.directory

    @property
    def assets(self) -> Path:
        """Directory of the files that the graph reads."""
        return self.root / "assets"

    @property
    def fingerprint(self) -> Path:
        """What ``tf.saved_model.experimental.read_fingerprint`` reads."""
        return self.root / "fingerprint.pb"

    @property
    def assets_extra(self) -> Path:
        """Directory of files that the graph does not read."""
        return self.root / "assets.extra"

    @property
    def manifest(self) -> Path:
        """Our report of the export, where TensorFlow leaves room for such files."""
        return self.assets_extra / OUR_DIRECTORY / "manifest.json"
