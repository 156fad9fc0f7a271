"""The classes of options, from their fields and docstrings."""

from __future__ import annotations

import inspect
import typing
from typing import Any, Literal

import docstrings

import autodist_saved as ads
from autodist_saved.options import MIB, Options

CLASSES: tuple[type[Options], ...] = (ads.ExportOptions, ads.ExportSchedule, ads.Retention, ads.SessionOptions)


def page() -> str:
    """A table for each class."""
    return "\n\n".join(map(_section, CLASSES))


def _section(options: type[Options]) -> str:
    docstring = inspect.getdoc(options) or ""
    described = docstrings.attributes(docstring)
    rows = [
        f"| `{name}` | {_values(field.annotation)} | `{_default(name, field.default)}` | {described[name]} |"
        for name, field in options.model_fields.items()
    ]
    heading = [f"## `{options.__name__}`", "", docstrings.summary(docstring), ""]
    return "\n".join([*heading, "| option | values | default | meaning |", "|---|---|---|---|", *rows])


def _values(annotation: Any) -> str:
    """What an option may be."""
    if typing.get_origin(annotation) is Literal:
        return ", ".join(f"`{value!r}`" for value in typing.get_args(annotation))
    if typing.get_origin(annotation) is frozenset:
        return "set of `str`"
    names = [getattr(part, "__name__", str(part)) for part in typing.get_args(annotation) or (annotation,)]
    return " or ".join("`None`" if name == "NoneType" else f"`{name}`" for name in names)


def _default(name: str, value: object) -> str:
    return f"{value // MIB} MiB" if name.endswith("_bytes") and isinstance(value, int) else repr(value)
