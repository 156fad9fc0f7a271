"""A page of the documentation: its text, and the blocks of code in it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ALL = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: such as ``python``.
        title: name of the file that it is, or where its commands are given; empty for none.
        text: what is in it.
    """

    language: str
    title: str
    text: str

    @property
    def is_file(self) -> bool:
        """Whether a reader puts it into a file."""
        return "." in self.title

    @property
    def commands(self) -> list[str]:
        """Its lines, without comments; a line that ends with a backslash goes on."""
        lines = self.text.replace("\\\n", "").splitlines()
        return [line for line in lines if line.strip() and not line.startswith("#")]


def blocks(page: Path) -> Iterator[Block]:
    """All blocks of a page, in order."""
    for language, title, text in _BLOCK.findall(page.read_text()):
        yield Block(language, title, text)


def block(page: Path, title: str) -> Block:
    """The one with this title."""
    (found,) = (one for one in blocks(page) if one.title == title)
    return found


def prose(page: Path) -> str:
    """The text of a page without its blocks and without indented commands."""
    return re.sub(r"^ {4}\S.*$", "", _BLOCK.sub("", page.read_text()), flags=re.MULTILINE)


def write_files(page: Path, folder: Path) -> None:
    """Put those blocks of a page into a folder that are files."""
    for one in blocks(page):
        if one.is_file:
            (folder / one.title).write_text(one.text)


def environment() -> dict[str, str]:
    """Of a reader's shell, in which this package is installed."""
    programs = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
