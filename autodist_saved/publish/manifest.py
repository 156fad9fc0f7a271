"""The manifest of an exported model: the report of its export, stored in ``assets.extra/``."""

from __future__ import annotations

from pathlib import Path

import pydantic

from autodist_saved.errors import ModelError, UsageError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.report.report import ExportReport
from autodist_saved.system.error_translation import reading
from autodist_saved.system.foreign_files import read_file
from autodist_saved.system.paths import exists

_MANIFEST_BYTES = 256 * 2**20  # a piece of a variable takes about 300


def write_manifest(files: SavedModelFiles, report: ExportReport) -> None:
    """Write the report into a staged model. The report should have no path, because models get moved."""
    files.manifest.parent.mkdir(parents=True, exist_ok=True)
    files.manifest.write_text(report.to_json())


def read_manifest(model: Path) -> ExportReport:
    """Read the manifest of a model.

    Raises:
        UsageError: the model has no manifest.
        ModelError: the manifest is damaged.
        UnreadableError: the manifest cannot be read.
    """
    manifest = SavedModelFiles(model).manifest
    with reading(manifest):
        is_there = exists(manifest)
    if not is_there:
        raise UsageError(
            f"there is no {manifest.relative_to(model)} in {model}: name the directory of a model that this "
            "package has exported"
        )
    return read_manifest_file(manifest, model)


def read_manifest_file(path: Path, root: Path | None = None) -> ExportReport:
    """Read a manifest from a file.

    Args:
        path: of the manifest.
        root: the model's directory; None if the file may be in any directory, because a person has named it.

    Raises:
        ModelError: the file does not exist, is damaged, or is not a manifest.
        UnreadableError: the file cannot be read.
    """
    with reading(path):
        text = read_file(path, _MANIFEST_BYTES, root)
    try:
        return ExportReport.from_json(text)
    except pydantic.ValidationError as error:
        raise ModelError(
            f"{path}: the manifest is damaged ({_first(error)}); copy it again", path=str(path)
        ) from error


def _first(error: pydantic.ValidationError) -> str:
    """The first problem of a manifest, and the number of the others."""
    first, *others = error.errors(include_url=False, include_input=False, include_context=False)
    place = ".".join(map(str, first["loc"]))
    more = f", and {len(others)} more" if others else ""
    return f"{place}: {first['msg']}{more}" if place else f"{first['msg']}{more}"
