"""``autodist-saved inspect``: what an exported model says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Directory of an exported SavedModel.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as it is.")] = False,
) -> None:
    """Show when a model was taken, of how many steps, and from where.

    [bold]Example[/]

      autodist-saved inspect /models/flights/1
    """
    from rich.console import Console
    from rich.table import Table

    from autodist_saved.publish.manifest import read_manifest

    report = read_manifest(model)
    if as_json:
        typer.echo(report.to_json())
        return
    console = Console(soft_wrap=True)
    facts = Table(show_header=False, box=None)
    for name, value in report.facts():
        facts.add_row(f"[bold]{name}[/]", value)
    console.print(facts)
    if report.plan is not None:
        variables = Table("variable", "dtype", "shape", "held by", box=None)
        for variable in report.plan.variables:
            tasks = ", ".join(sorted({piece.task for piece in variable.pieces}))
            variables.add_row(variable.name, variable.dtype, str(list(variable.shape or ())), tasks)
        console.print(variables)
