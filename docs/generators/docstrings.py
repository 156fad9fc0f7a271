"""What the package's docstrings say, as Markdown."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

_ROLE = re.compile(r":(?:class|meth|func|attr|data|mod):`~?([^`]+)`")
_ENTRY = re.compile(r"^( +)([\w*]+(?:, [\w*]+)+): (.*(?:\n(?:\1 +.*|(?=\n)))*)", re.MULTILINE)


def without_roles(text: str, link: str = r"`\1`") -> str:
    """The same text, in which ``:class:`Saver``` is replaced. ``link``: by what, as ``re.sub`` has it."""
    return _ROLE.sub(link, text)


def one_name_each(text: str) -> str:
    """The same docstring, in which an entry ``a, b: text`` of a section is two entries."""
    return _ENTRY.sub(lambda entry: "\n".join(f"{entry[1]}{name}: {entry[3]}" for name in entry[2].split(", ")), text)


def attributes(docstring: str) -> dict[str, str]:
    """What the section ``Attributes`` says of each name, each in one line of Markdown."""
    section = re.split(r"\n\n(?=\S)", docstring.partition("Attributes:\n")[2])[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", one_name_each(section), re.MULTILINE)
    return {name: cell(text) for name, text in entries}


def summary(docstring: str) -> str:
    """Its first paragraph, in one line of Markdown."""
    return cell(docstring.strip().partition("\n\n")[0])


def cell(text: str) -> str:
    """Text of a docstring for a cell of a table: one line."""
    return " ".join(without_roles(text).replace("``", "`").replace("|", "\\|").split())


def of_module(name: str) -> str:
    """The docstring of a module or package, which is not imported for that."""
    path = ROOT.joinpath(*name.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.get_docstring(ast.parse(source.read_text())) or ""
