"""How commands print: names as they are and in full; one line per row if the output is no terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from autodist_saved.system.escape import escape

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_WIDE = 10_000


def console() -> Console:
    """A console on standard output. If that is no terminal, tables are as wide as their content."""
    from rich.console import Console

    return Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _WIDE)


def show(*shown: RenderableType) -> None:
    """Print on standard output. If that is no terminal, no line ends with spaces: columns are for people."""
    import typer

    printer = console()
    for one in shown:
        if printer.is_terminal:
            printer.print(one)
            continue
        with printer.capture() as captured:
            printer.print(one)
        for line in captured.get().splitlines():
            typer.echo(line.rstrip(" "))


def warn(message: str) -> None:
    """Print on standard error a problem that does not end the command."""
    say("warning: ", "bold yellow", message)


def say(kind: str, style: str, message: str) -> None:
    """Print a message on standard error after its kind, which has this style. Prints markup in it as it is."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text.assemble((kind, style), escape(message)), soft_wrap=True)


def plain(name: str, style: str = "") -> Text:
    """A user's text: shows brackets and control characters as they are; folds and never cuts it."""
    from rich.text import Text

    return Text(escape(name), style, overflow="fold")
