"""Words that all problems of a cluster share."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Sequence

from autodist_saved.errors import Problem

_REPR = reprlib.Repr()
_REPR.maxlevel = 2
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = 200


def kind(value: object) -> str:
    """The type of a parsed value in words that fit YAML and JSON, such as ``a list``."""
    kinds = {dict: "a mapping", list: "a list", str: "a text", int: "a number", type(None): "empty"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def shown(value: object) -> str:
    """A parsed value, at most a line of it: anchors of YAML make values of any size out of a small file."""
    return _REPR.repr(value)


def listed(items: Iterable[object]) -> str:
    """Items separated by commas."""
    return ", ".join(str(item) for item in items)


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that ``name`` probably misspells, or None."""
    return next(iter(difflib.get_close_matches(name.lower(), known, n=1)), None)


def unknown(place: str, name: str, known: Sequence[str], noun: str) -> Problem:
    """The problem that ``name`` is not one of ``known``. ``noun`` says what those are, such as ``key``."""
    near = nearest(name, known)
    return Problem(
        place, f"{shown(name)} is no {noun}", f"did you mean {near}?" if near else f"choose from {listed(known)}"
    )
