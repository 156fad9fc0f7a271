"""``autodist-saved verify``: check that a model is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autodist_saved.cli.model import Model, model_at
from autodist_saved.system.escape import escape
from autodist_saved.system.paths import is_dir, path_of


def verify(
    model: Model,
    against: Annotated[
        Path | None,
        typer.Option(
            parser=path_of,
            metavar="MANIFEST",
            help="manifest.json of the model of which this is a copy, or that model's directory.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Read all of a model and check that it is whole: checksums, structure, assets, the plan of its export.

    Works for every SavedModel. Checks the contents of assets for models that
    this package has exported, and with --against. Writes nothing.

    [bold]Exit status[/]

      0  the model is whole

      2  there is no model

      3  the model is not reachable or readable, and may be whole

      6  files are missing or damaged

      7  the model is whole, but not the one of MANIFEST

    [bold]Examples[/]

      autodist-saved verify /models/flights/2

      autodist-saved verify /copy/flights/2 --against /models/flights/2
    """
    import json

    from autodist_saved.publish.manifest import read_manifest, read_manifest_file
    from autodist_saved.saved_models.check import check_model
    from autodist_saved.system.error_translation import reading

    manifest = None
    if against is not None:
        with reading(against):
            manifest = read_manifest(model_at(against)) if is_dir(against) else read_manifest_file(against)
    model = model_at(model)
    check_model(model, manifest)
    message = f"{model} is whole"
    result = {"path": str(model), "message": message, "problems": []}
    typer.echo(json.dumps(result, indent=2) if as_json else escape(message))
