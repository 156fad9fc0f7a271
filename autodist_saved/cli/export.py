"""``autodist-saved export``: ask a running job to export now."""

from __future__ import annotations

from typing import Annotated

import typer

from autodist_saved.cli.running_job import Authority, Certificate, Job, Key, TokenFile, export_as_dict, visit
from autodist_saved.system.escape import escape


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
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Ask a running job to export now, and wait until the model is there or the export has failed.

    The job has to call session.export_on_request(...) before. Ctrl-C ends
    the waiting, not the export.

    [bold]Examples[/]

      autodist-saved export localhost:2226 /models/flights/2

      autodist-saved export --json cluster.yaml /models/flights
    """
    import json

    from rich.console import Console

    from autodist_saved.cli.output import plain

    said = Console(stderr=True)
    with visit(job, token_file, certificate, key, authority) as visitor, said.status("asking the chief") as line:
        for status in visitor.export(target):
            line.update(plain(f"{status.phase or 'begun'}, {status.seconds:.0f} s"))
    typer.echo(json.dumps(export_as_dict(status)) if as_json else escape(status.path))
