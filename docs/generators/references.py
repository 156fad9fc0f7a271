"""An extension of griffe, which reads the package for mkdocstrings: docstrings become Markdown with links."""

from __future__ import annotations

import ast
import re
from typing import Any

import docstrings
import griffe

_PUBLIC = {
    node.value
    for statement in ast.walk(ast.parse((docstrings.ROOT / "autodist_saved" / "__init__.py").read_text()))
    if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"
    for node in ast.walk(statement.value)
    if isinstance(node, ast.Constant)
}


class References(griffe.Extension):  # type: ignore[misc]
    """``:meth:`save``` becomes a link, where a page has that method. Entries of several names become one each."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Griffe's event: a module, class, function or attribute was read."""
        if obj.docstring is None:
            return
        owner = obj if obj.is_class else obj.parent
        text = docstrings.one_name_each(obj.docstring.value)
        obj.docstring.value = re.sub(
            r":(?:class|meth|func|attr|data|mod):`~?([^`]+)`", lambda role: _link(role[1], owner), text
        )


def _link(name: str, owner: Any) -> str:
    name = name.removeprefix("autodist_saved.")
    first = name.partition(".")[0]
    if first in _PUBLIC:
        place = f"autodist_saved.{name}"
    elif owner is not None and owner.is_class and first in owner.members and owner.name in _PUBLIC:
        place = f"autodist_saved.{owner.name}.{name}"
    elif first.endswith("Error"):
        place = f"autodist_saved.errors.{name}"
    else:
        return f"`{name}`"
    return f'<autoref identifier="{place}" optional><code>{name}</code></autoref>'
