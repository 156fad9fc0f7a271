"""The command line, as typer's own generator of documentation tells it, in the form of this site."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import docstrings

PROGRAM = "autodist-saved"

_BOLD = re.compile(r'<span style="font-weight: bold">(.*?)</span>')
_USAGE = re.compile(r"\{(.*?)\}")
_EXAMPLE = re.compile(rf"^  ({PROGRAM} .*)$", re.MULTILINE)
_STATUS = re.compile(r"^  (\d)  (.*)$", re.MULTILINE)


def page() -> str:
    """A section for the program and one for each of its commands."""
    told = subprocess.run(
        [sys.executable, "-m", "typer", "autodist_saved.cli.main", "utils", "docs", "--name", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(docstrings.ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    _, _, text = told.partition("\n")  # its title is the page's
    text = _BOLD.sub(r"**\1**", text)
    text = re.sub(r"^\* `(\w+)`: .*\.\.\.$", lambda line: _summary(line[1], text), text, flags=re.MULTILINE)
    text = "\n".join(_USAGE.sub(r"\1", line) if line.startswith("$ ") else line for line in text.splitlines())
    text = _EXAMPLE.sub(r"```console\n$ \1\n```", text)
    text = re.sub(r"\n```\n\n```console\n(?=\$ \S+ )", "\n", text)  # examples that follow each other are one block
    text = _STATUS.sub(r"- `\1`: \2", text)
    text = re.sub(r"(^- `\d`:.*\n)\n(?=- `)", r"\1", text, flags=re.MULTILINE)
    return re.sub(r"^  (?=\w)", "", text, flags=re.MULTILINE)


def _summary(command: str, text: str) -> str:
    """The line of a command in the list of all, which typer cuts short."""
    first = text.partition(f"## `{PROGRAM} {command}`\n\n")[2].partition("\n\n")[0]
    return f"* `{command}`: {first}"
