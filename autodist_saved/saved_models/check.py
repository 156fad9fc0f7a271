"""Checks whether a model is whole: reads every file, compares every checksum, reports all problems at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from autodist_saved.bundle import BundleReader
from autodist_saved.errors import BundleError, ModelError, OtherModelError, Problem, UsageError
from autodist_saved.graph.stored.meta_graph import MetaGraph
from autodist_saved.publish.checksums import sum_problems
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.loadable import asset_problems, has_variables, unrestorable_variables
from autodist_saved.publish.manifest import read_manifest
from autodist_saved.publish.read_back import variable_problems
from autodist_saved.report.report import ExportReport
from autodist_saved.saved_models.fingerprint import fingerprint_problems
from autodist_saved.saved_models.model_directory import find_model
from autodist_saved.saved_models.saved_model import read_graphs
from autodist_saved.system.error_translation import reading
from autodist_saved.system.paths import exists

_COPY = "copy the model again from where it was exported, or export it again"
_OTHER = "copy that model again, or name the manifest of this one"


def check_model(path: Path, against: ExportReport | None = None) -> None:
    """Read a whole model, in bounded memory, and raise an error that lists all problems.

    This checks the graphs, the assets that they name, the structure of the bundle, the checksum of each variable, and
    ``fingerprint.pb`` if there is one. In a model of this package it also compares sizes and checksums of the files,
    and the variables, with the manifest.

    Args:
        path: the model's directory.
        against: the manifest of the place from which the model was copied. The model must be that one.

    Raises:
        UsageError: the directory contains no model, or ``against`` contains no checksums.
        ModelError: files are missing or damaged.
        UnreadableError: a file cannot be read, so that nothing is known about the model.
        OtherModelError: the model is whole, but is another one than that of ``against``.
    """
    if against is not None and not against.files:
        raise UsageError("the manifest to compare with has no checksums; name the manifest in an exported model")
    with reading(path):
        files = find_model(path)
        damage = list(_damage(files))
        others = list(sum_problems(files, against.files, _OTHER)) if against is not None else []
    if damage:
        first_by_place: dict[str, Problem] = {}
        for problem in (*damage, *others):
            first_by_place.setdefault(problem.place, problem)
        raise ModelError(f"{path} is damaged", problems=first_by_place.values(), path=str(path))
    if others:
        raise OtherModelError(f"{path} is not the model of that manifest", problems=others, path=str(path))


def _damage(files: SavedModelFiles) -> Iterator[Problem]:
    manifest: ExportReport | None = None
    graphs: tuple[MetaGraph, ...] = ()
    try:
        manifest = read_manifest(files.root) if exists(files.manifest) else None
    except ModelError as error:
        yield Problem.of(error, files.manifest.name, _COPY)
    try:
        graphs = read_graphs(files)
    except ModelError as error:
        yield Problem.of(error, Path(error.path or files.saved_model).name, _COPY)
    if manifest is not None:
        yield from sum_problems(files, manifest.files, _COPY)
    yield from asset_problems(files, graphs, _COPY)
    reader: BundleReader | None = None
    needs_variables = has_variables(files, graphs)
    if needs_variables:
        try:
            reader = BundleReader(files.variables_prefix, root=files.root)
        except BundleError as error:
            yield Problem.of(error, f"{files.variables.name}/{Path(error.path or '').name}", _COPY)
    if reader is not None:
        yield from variable_problems(reader, manifest.plan if manifest is not None else None, _COPY)
        yield from unrestorable_variables(files, reader, graphs, _COPY)
    # Not needed if the manifest has the fingerprint's checksum: it has those of the files behind it, too. TensorFlow
    # reads these files without our precautions, so they must have passed.
    is_covered = manifest is not None and files.fingerprint.name in manifest.files
    if graphs and (reader is not None or not needs_variables) and not is_covered:
        yield from fingerprint_problems(files, _COPY)
