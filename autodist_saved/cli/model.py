"""The argument with which commands find a model: its directory, or that of its versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autodist_saved.system.paths import path_of

Model = Annotated[
    Path,
    typer.Argument(
        parser=path_of,
        metavar="DIR",
        help="Directory of a SavedModel, or of its numbered versions: then of the newest.",
        show_default=False,
    ),
]


def model_at(place: Path) -> Path:
    """The directory of the model. Says on standard error which one it is, if the place has several.

    Raises:
        UnreadableError: the directory cannot be read.
    """
    from autodist_saved.cli.output import say
    from autodist_saved.saved_models.model_directory import versions

    if not (found := versions(place)):
        return place
    named = ", ".join(version.name for version in found)
    say("note: ", "bold", f"{place} holds the versions {named}; this is about the newest, {found[-1]}")
    return found[-1]
