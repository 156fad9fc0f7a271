"""Every class of errors, one by one, with a link to its cure."""

from __future__ import annotations

import inspect

from autodist_saved import errors

CLASSES = tuple(kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__)


def page() -> str:
    """In the order of the module, which is that of what to do about them."""
    ordered = sorted(CLASSES, key=lambda kind: inspect.getsourcelines(kind)[1])
    return "\n\n".join(map(_section, ordered))


def _section(kind: type) -> str:
    if not issubclass(kind, BaseException):
        return f"::: autodist_saved.errors.{kind.__name__}"
    is_made_as_its_parent = "__init__" not in vars(kind)
    options = "\n    options: {show_signature: false}" if is_made_as_its_parent else ""
    cure = f"../how-to/errors.md#{kind.__name__.lower()}"
    return f"::: autodist_saved.errors.{kind.__name__}{options}\n\n[Causes and cures]({cure})"
