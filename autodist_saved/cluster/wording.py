"""The words that problems of a cluster are told in, wherever they are found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from autodist_saved.errors import Problem


def kind(value: object) -> str:
    """What a parsed value is, in the words of its file, such as ``a list``."""
    kinds = {dict: "a mapping", list: "a list", str: "a text", int: "a number", type(None): "empty"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def listed(items: Iterable[object]) -> str:
    """Items as a sentence names them."""
    return ", ".join(str(item) for item in items)


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that ``name`` is a misspelling of, or None."""
    return next(iter(difflib.get_close_matches(name.lower(), known, n=1)), None)


def unknown(place: str, name: str, known: Sequence[str], noun: str) -> Problem:
    """The problem of a name that is none of ``known``; ``noun`` says what it ought to name."""
    near = nearest(name, known)
    return Problem(
        place, f"{name!r} is no {noun}", f"did you mean {near}?" if near else f"choose from {listed(known)}"
    )
