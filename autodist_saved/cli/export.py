"""``autodist-saved export``: have a running job export now."""

from __future__ import annotations

from typing import Annotated

import typer

from autodist_saved.cli.job_address import Authority, Certificate, Job, Key, TokenFile, visit


def export(
    job: Job,
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="Directory of the model, as the chief sees it.", show_default=False),
    ],
    token_file: TokenFile = None,
    certificate: Certificate = None,
    key: Key = None,
    authority: Authority = None,
) -> None:
    """Have a running job export now, and wait until the model is there or the export has failed.

    The job says how it exports with session.export_on_request(...). Ctrl-C
    ends the waiting and not the export.

    [bold]Example[/]

      autodist-saved export localhost:2226 /models/flights/2
    """
    from rich.console import Console

    said = Console(stderr=True)
    path = ""
    with visit(job, token_file, certificate, key, authority) as visitor, said.status("asking the chief") as line:
        for status in visitor.export(target):
            path = status.path
            line.update(f"{status.phase or 'begun'}, {status.seconds:.0f} s")
    typer.echo(path)
