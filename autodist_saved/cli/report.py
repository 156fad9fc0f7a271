"""``autodist-saved report``: write a page about a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autodist_saved.cli.model import Model, model_at


def report(
    model: Model,
    page: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write the page; replaces a file; - is standard output."
        ),
    ] = Path("report.html"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures of the export and the path of the page as JSON.")
    ] = False,
) -> None:
    """Write one HTML page about a model: how it was exported, where its variables were, what is in it.

    Works for every SavedModel. The page needs no other file and runs no
    script. Does not read the values of variables; verify does. If manifest or
    variables are damaged, the page says so and shows all the rest.

    [bold]Examples[/]

      autodist-saved report /models/flights/1 -o report.html

      autodist-saved report /models/flights/1 -o - > report.html

      autodist-saved report --json /models/flights/1
    """
    import json

    from autodist_saved.cli.output import show
    from autodist_saved.errors import ModelError, UsageError
    from autodist_saved.report.report import facts_table
    from autodist_saved.report_views.page import render
    from autodist_saved.saved_models.saved_model import open_model
    from autodist_saved.system.error_translation import translated

    is_printed = str(page) == "-"
    if is_printed and as_json:
        raise UsageError("page and figures cannot both go to standard output; write the page to a file with -o")
    model = model_at(model)
    opened = open_model(model, partly=True)
    if is_printed:
        typer.echo(render(opened), nl=False)
    else:
        with translated("report"):
            page.write_bytes(render(opened))
    if opened.damage:
        what = "; ".join(damage.message for damage in opened.damage)
        raise ModelError(f"{what}; what can be read is in {'the page' if is_printed else page}", path=str(model))
    if is_printed:
        return
    manifest = opened.manifest
    if as_json:
        figures = manifest.as_dict() if manifest is not None else None
        typer.echo(json.dumps({"path": str(model), "page": str(page), "report": figures}, indent=2))
    else:
        show(facts_table([("page", str(page)), *(manifest.facts() if manifest is not None else [])]))
