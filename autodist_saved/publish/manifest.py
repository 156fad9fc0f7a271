"""The manifest of an exported model: its report, stored in ``assets.extra/``."""

from __future__ import annotations

from pathlib import Path

import pydantic

from autodist_saved.errors import BundleError, UsageError
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
        UsageError: there is none.
        BundleError: it is damaged.
    """
    manifest = SavedModelFiles(model).manifest
    try:
        with translated("inspect"):
            text = manifest.read_bytes() if manifest.exists() else None
        if text is None:
            raise UsageError(
                f"there is no {manifest.relative_to(model)} in {model}: name the directory of a model that this "
                "package has exported"
            )
        return ExportReport.from_json(text)
    except pydantic.ValidationError as error:
        raise BundleError(f"the manifest is damaged ({error.error_count()} problems)", path=str(manifest)) from error
