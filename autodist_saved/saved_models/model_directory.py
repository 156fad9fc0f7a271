"""Finds out whether a path is a model, a directory with versions of a model, or something else."""

from __future__ import annotations

from pathlib import Path

from autodist_saved.errors import ModelError, UsageError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.version import versions_in
from autodist_saved.system.error_translation import reading
from autodist_saved.system.paths import absence_message, exists, is_dir

_NAMED = 5


def find_model(path: Path) -> SavedModelFiles:
    """The files of the model in the directory ``path``. Call it within :func:`reading`.

    Raises:
        UsageError: the path does not exist, or is something else.
        ModelError: the directory contains variables without a graph.
    """
    if not exists(path):
        raise UsageError(f"{absence_message(path)}; name the directory of a SavedModel")
    if not is_dir(path):
        raise UsageError(f"{path} is no directory; name the directory of a SavedModel, which contains saved_model.pb")
    files = SavedModelFiles(path)
    if any(exists(path) for path in files.graphs):  # if it is not a file, reading it raises
        return files
    if exists(files.saved_model_chunks):
        raise UsageError(
            f"the graph of {path} is stored in chunks, which only TensorFlow reads; load it with TensorFlow"
        )
    if found := versions(path):
        raise UsageError(f"{path} contains versions of a model; name one of them, such as the newest, {found[-1]}")
    if is_dir(files.variables):
        raise ModelError(
            f"{path} contains variables and no {files.saved_model.name}: it is a part of a model, or is being "
            "removed; copy it again",
            path=str(path),
        )
    held = sorted(one.name for one in path.iterdir())
    what = f"contains {', '.join(held[:_NAMED])}{', ...' if len(held) > _NAMED else ''}" if held else "is empty"
    raise UsageError(
        f"{path} is not a SavedModel: it has no {files.saved_model.name}, and {what}; "
        "name the directory of a SavedModel"
    )


def versions(base: Path) -> list[Path]:
    """The directories of the versions in ``base``, the newest last. Empty if ``base`` is itself a model.

    A version is a model whose name is a number, as for TensorFlow Serving.

    Raises:
        UnreadableError: the directory cannot be read.
    """
    with reading(base):
        if not is_dir(base) or exists(SavedModelFiles(base).saved_model):
            return []
        return [version.path for version in versions_in(base) if version.is_model]
