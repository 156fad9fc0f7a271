"""The manifest of an exported model: its report, stored in ``assets.extra/``."""

from __future__ import annotations

from pathlib import Path

import pydantic

from autodist_saved.errors import BundleError
from autodist_saved.foreign import translated
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.report import ExportReport


def write_manifest(files: SavedModelFiles, report: ExportReport) -> None:
    """Put the report beside a model that is not visible yet. It has no path: models are moved."""
    files.manifest.parent.mkdir(parents=True, exist_ok=True)
    files.manifest.write_text(report.to_json())


def read_manifest(model: Path) -> ExportReport:
    """The report of a model.

    Raises:
        BundleError: there is none, or it is damaged.
    """
    manifest = SavedModelFiles(model).manifest
    try:
        with translated("inspect"):
            text = manifest.read_bytes() if manifest.exists() else None
        if text is None:
            raise BundleError(
                f"there is no {manifest.relative_to(model)} in {model}: it was not exported by this package, or is "
                "no SavedModel"
            )
        return ExportReport.from_json(text)
    except pydantic.ValidationError as error:
        raise BundleError(f"the manifest is damaged ({error.error_count()} problems)", path=str(manifest)) from error
