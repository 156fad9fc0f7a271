"""The seams of the package: its abstract classes and what implements them, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import docstrings

PACKAGE = docstrings.ROOT / "autodist_saved"


@dataclass(frozen=True)
class _Class:
    name: str
    path: str
    bases: tuple[str, ...]
    summary: str


def page() -> str:
    """One row for each abstract class with a public name."""
    known = {one.name: one for one in _classes(PACKAGE)}
    rows = [_row(one, known) for one in known.values() if "ABC" in one.bases and not one.name.startswith("_")]
    return "\n".join(["| seam | what it is | implementations |", "|---|---|---|", *rows])


def tools() -> str:
    """One row for each class of ``autodist_saved.testing``."""
    rows = [f"| `{one.name}` | {one.summary} |" for one in _classes(PACKAGE) if one.path.startswith("testing")]
    return "\n".join(["| class | what it is |", "|---|---|", *sorted(rows)])


def _row(seam: _Class, known: Mapping[str, _Class]) -> str:
    parents = {base for one in known.values() for base in one.bases}
    below = [f"`{one.name}`" for one in known.values() if _derives(one, seam.name, known) and one.name not in parents]
    return f"| `{seam.name}` in `{seam.path}` | {seam.summary} | {', '.join(below) or 'none yet'} |"


def _derives(one: _Class, name: str, known: Mapping[str, _Class]) -> bool:
    return any(base == name or (base in known and _derives(known[base], name, known)) for base in one.bases)


def _classes(folder: Path) -> Iterator[_Class]:
    for path in sorted(folder.rglob("*.py")):
        if path.stem.endswith(("_pb2", "_pb2_grpc")):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                told = docstrings.summary(ast.get_docstring(node) or "")
                yield _Class(node.name, str(path.relative_to(folder)), tuple(map(_base, node.bases)), told)


def _base(node: ast.expr) -> str:
    """The name of a base class, without its type parameters."""
    return _base(node.value) if isinstance(node, ast.Subscript) else ast.unparse(node)
