"""How commands print: names as they are, in full, and in one line where a program reads them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from autodist_saved.system.escape import escape

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_WIDE = 10_000


def console() -> Console:
    """Standard output. Where it is no terminal, tables are as wide as they have to be."""
    from rich.console import Console

    return Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _WIDE)


def warn(message: str) -> None:
    """Say on standard error what is wrong, and does not end the command."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text.assemble(("warning: ", "bold yellow"), escape(message)), soft_wrap=True)


def plain(name: str, style: str = "") -> Text:
    """Text of users, in which brackets are brackets and nothing is obeyed; folded, never cut."""
    from rich.text import Text

    return Text(escape(name), style, overflow="fold")
