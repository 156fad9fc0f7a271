"""The names of all files of a SavedModel. No other module spells one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autodist_saved.extra_files import OUR_DIRECTORY


@dataclass(frozen=True)
class SavedModelFiles:
    """The files under one SavedModel directory, whether it is visible already or still being written."""

    root: Path

    @property
    def saved_model(self) -> Path:
        """Graphs and signatures. A loader takes a directory for a model when this file is there."""
        return self.root / "saved_model.pb"

    @property
    def saved_model_text(self) -> Path:
        """The same as text, for people."""
        return self.root / "saved_model.pbtxt"

    @property
    def variables(self) -> Path:
        """Directory of the tensor bundle."""
        return self.root / "variables"

    @property
    def variables_prefix(self) -> str:
        """Prefix of the tensor bundle's files."""
        return str(self.variables / "variables")

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
