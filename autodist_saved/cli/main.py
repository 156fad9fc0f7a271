"""The program ``autodist-saved``."""

from __future__ import annotations

import io
import itertools
import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from autodist_saved.cli.diff import diff
from autodist_saved.cli.exit_status import exit_status
from autodist_saved.cli.export import export
from autodist_saved.cli.inspect import inspect
from autodist_saved.cli.launch import launch
from autodist_saved.cli.output import say
from autodist_saved.cli.prune import prune
from autodist_saved.cli.report import report
from autodist_saved.cli.status import status
from autodist_saved.cli.verify import verify
from autodist_saved.errors import AutodistSavedError, ProblemsError

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (launch, status, export, inspect, verify, diff, report, prune):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        typer.echo(f"autodist-saved {importlib.metadata.version('autodist-saved')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """One consistent SavedModel out of any distributed TensorFlow job.

    [bold]Example[/]

      autodist-saved launch cluster.yaml -- python train.py

    [bold]Exit status[/]

      2  wrong usage or configuration

      3  a place is taken, or not reachable, readable or writable

      4  the state of the job does not allow it

      5  the export failed

      6  files of the model are missing or damaged

      7  the model is whole, but another one

      launch returns the exit status of the job; diff returns 1 if two models differ.

    With --json, errors are JSON on standard output, too: error, message, path and problems.
    """


def main() -> None:
    """Run the command line. An error of this package becomes a message, or JSON, and an exit status; no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Tasks and users may write characters that the locale lacks. These must not end the program.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except AutodistSavedError as error:
        if _wants_json(sys.argv[1:]):
            typer.echo(json.dumps(_as_dict(error), indent=2))
        else:
            say("error: ", "bold red", str(error))
        sys.exit(exit_status(error))


def _wants_json(arguments: list[str]) -> bool:
    """Whether a program reads our output. Arguments after ``--`` belong to another command."""
    return "--json" in itertools.takewhile(lambda argument: argument != "--", arguments)


def _as_dict(error: AutodistSavedError) -> dict[str, Any]:
    problems = error.problems if isinstance(error, ProblemsError) else ()
    return {
        "error": type(error).__name__,
        "message": error.message,
        "path": error.path,
        "problems": [asdict(problem) for problem in problems],
    }
