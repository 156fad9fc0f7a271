"""What is at a path: a model, a base of versions, or something else."""

from __future__ import annotations

from pathlib import Path

from autodist_saved.errors import ModelError, UsageError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.version import versions_in
from autodist_saved.system.error_translation import reading
from autodist_saved.system.paths import absence_message, exists, is_dir

_NAMED = 5


def find_model(path: Path) -> SavedModelFiles:
    """The model whose directory is ``path``. Called within :func:`reading`.

    Raises:
        UsageError: there is something else, or nothing.
        ModelError: there is a part of a model.
    """
    if not exists(path):
        raise UsageError(f"{absence_message(path)}; name the directory of a SavedModel")
    if not is_dir(path):
        raise UsageError(f"{path} is a file; name the directory of a SavedModel, which holds saved_model.pb")
    files = SavedModelFiles(path)
    if any(exists(path) for path in files.graphs):  # whatever it is: reading it says what is wrong
        return files
    if exists(files.saved_model_chunks):
        raise UsageError(
            f"the graph of {path} is stored in chunks, which only TensorFlow reads; load it with TensorFlow"
        )
    if found := versions(path):
        raise UsageError(
            f"{path} holds versions of a model, not one; name one of them, such as the newest, {found[-1]}"
        )
    if is_dir(files.variables):
        raise ModelError(
            f"{path} holds variables and no {files.saved_model.name}: it is a part of a model, or is being removed; "
            "copy it again",
            path=str(path),
        )
    held = sorted(one.name for one in path.iterdir())
    what = f"holds {', '.join(held[:_NAMED])}{', ...' if len(held) > _NAMED else ''}" if held else "is empty"
    raise UsageError(f"{path} is no SavedModel: there is no {files.saved_model.name} in it; it {what}")


def versions(base: Path) -> list[Path]:
    """The models in a directory whose names are numbers, as servers look for them, the newest last.

    Raises:
        UnreadableError: the directory cannot be read.
    """
    with reading(base):
        if not is_dir(base) or exists(SavedModelFiles(base).saved_model):
            return []
        return [version.path for version in versions_in(base) if version.is_model]
