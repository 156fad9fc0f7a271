"""The manifest of a model, from the JSON schema that pydantic makes of ``ExportReport``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import docstrings
from pydantic import TypeAdapter

from autodist_saved import ExportReport

Schema = Mapping[str, Any]


def page() -> str:
    """A table for each object, the whole manifest first."""
    whole = TypeAdapter(ExportReport).json_schema(mode="serialization")
    parts = whole["$defs"]
    tables = [_table("The manifest", whole, parts), *(_table(f"`{name}`", parts[name], parts) for name in parts)]
    return "\n\n".join(tables)


def _table(title: str, schema: Schema, parts: Schema) -> str:
    summary = docstrings.summary(schema["description"])
    return "\n".join([f"## {title}", "", summary, "", *_rows(schema, parts)])


def _rows(schema: Schema, parts: Schema) -> Iterator[str]:
    described = docstrings.attributes(schema["description"])
    yield "| key | type | meaning |"
    yield "|---|---|---|"
    for key, value in schema["properties"].items():
        meaning = described.get(key) or docstrings.cell(value.get("description", "")) or _meaning(value, parts)
        yield f"| `{key}` | {_type(value)} | {meaning} |"


def _meaning(value: Schema, parts: Schema) -> str:
    """What is said of the objects in an array, where nothing is said of the array."""
    return docstrings.summary(parts[value["items"]["$ref"].rpartition("/")[2]]["description"])


def _type(value: Schema) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(map(_type, value["anyOf"]))
    if "enum" in value:
        return " or ".join(f'`"{one}"`' for one in value["enum"])
    if value["type"] == "array":
        return f"array of {_type(value['items'])}" if "items" in value else "array"
    if value["type"] == "object":
        return f"object of {_type(value['additionalProperties'])}, by name"
    return f"{value['type']} ({value['format']})" if "format" in value else str(value["type"])
