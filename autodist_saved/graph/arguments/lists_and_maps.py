"""Lists and dictionaries as users give them: None, anything iterable, or something else by mistake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from autodist_saved.errors import Problem

_ASSETS = "list of asset tensors", "give constant string tensors, such as [tf.constant(path)]"
_REQUESTS = "dictionary of requests", "give a list of requests by signature"
_LISTS = {
    "tags": ("list of tags", 'give for instance ["serve"]'),
    "assets_collection": _ASSETS,
    "assets_list": _ASSETS,
}
_MAPS = {
    "signatures": ("dictionary of signatures", "give SignatureDef by name"),
    "assets_extra": ("dictionary of files", "give a file, or its contents as bytes, by path below assets.extra/"),
    "warmup": _REQUESTS,
    "examples": _REQUESTS,
}


def tuple_or_dict(name: str, value: Any) -> tuple[Any, list[Problem]]:
    """Copy an argument into a tuple or a ``dict``. Returns it, and what is wrong with it; it is empty then."""
    if name in _MAPS:
        if isinstance(value, Mapping) or (not isinstance(value, tf.Tensor) and not value):
            return dict(value or {}), []
        kind, fix = _MAPS[name]
        return {}, [Problem(name, f"{value!r} is not a {kind}", fix)]
    if value is None and name != "tags":
        return (), []
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | tf.Tensor):
        elements = tuple(value)
        return elements, _tag_problems(elements) if name == "tags" else []
    kind, fix = _LISTS[name]
    return (), [Problem(name, f"{value!r} is not a {kind}", fix)]


def _tag_problems(tags: tuple[object, ...]) -> list[Problem]:
    return [
        Problem(f"tags[{number}]", f"{tag!r} is not a string", 'give for instance ["serve"]')
        for number, tag in enumerate(tags)
        if not isinstance(tag, str | bytes)
    ]
