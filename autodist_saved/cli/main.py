"""The entry point ``autodist-saved``."""

from __future__ import annotations

import importlib.metadata
import io
import itertools
import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from autodist_saved.cli.diff import diff
from autodist_saved.cli.exit_status import exit_status
from autodist_saved.cli.export import export
from autodist_saved.cli.inspect import inspect
from autodist_saved.cli.launch import launch
from autodist_saved.cli.prune import prune
from autodist_saved.cli.report import report
from autodist_saved.cli.status import status
from autodist_saved.cli.verify import verify
from autodist_saved.errors import AutodistSavedError, ProblemsError
from autodist_saved.system.escape import escape

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

      3  a place cannot be reached, read or written, or is taken

      4  the job is not in a state to be used

      5  the export was given up

      6  files of the model are missing or damaged

      7  the model is whole, but another one

      launch has the exit status of the job; diff ends with 1 where two models differ.

    With --json an error is JSON on standard output, too: error, message, path and problems.
    """


def main() -> None:
    """Run the command line; errors of ours become a message, or JSON, and an exit status, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What tasks and users write must not end the program where the locale has no characters for it.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except AutodistSavedError as error:
        if _wants_json(sys.argv[1:]):
            typer.echo(json.dumps(_as_dict(error), indent=2))
        else:
            Console(stderr=True).print(Text.assemble(("error: ", "bold red"), escape(str(error))), soft_wrap=True)
        sys.exit(exit_status(error))


def _wants_json(arguments: list[str]) -> bool:
    """Whether our output is read by a program. What is behind ``--`` is the output of others."""
    return "--json" in itertools.takewhile(lambda argument: argument != "--", arguments)


def _as_dict(error: AutodistSavedError) -> dict[str, Any]:
    problems = error.problems if isinstance(error, ProblemsError) else ()
    return {
        "error": type(error).__name__,
        "message": error.message,
        "path": error.path,
        "problems": [asdict(problem) for problem in problems],
    }
