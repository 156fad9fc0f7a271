"""The layers of the package, as a diagram, from the contracts that ``lint-imports`` checks."""

from __future__ import annotations

import html
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import docstrings

Contract = Mapping[str, Any]


def page() -> str:
    """A diagram for each contract of layers, then what no room of a list may import."""
    settings = tomllib.loads((docstrings.ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    diagrams = [_diagram(contract) for contract in contracts if contract["type"] == "layers"]
    others = [_sentence(contract) for contract in contracts if contract["type"] == "forbidden"]
    return "\n\n".join([*diagrams, "## What must not be imported", "\n".join(others)])


def _diagram(contract: Contract) -> str:
    (container,) = contract["containers"]
    rows = "\n".join(_row(container, layer) for layer in contract["layers"])
    return f'## `{container}`\n\n{contract["name"]}.\n\n<div class="layers">\n{rows}\n</div>'


def _row(container: str, layer: str) -> str:
    rooms = "".join(_room(container, name) for name in re.split(r"\s*[|:]\s*", layer.strip("() ")))
    return f'<div class="layer">{rooms}</div>'


def _room(container: str, name: str) -> str:
    told = docstrings.summary(docstrings.of_module(f"{container}.{name}"))
    holds = re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(told))
    return f'<div class="room"><b>{html.escape(name)}</b> {holds}</div>'


def _sentence(contract: Contract) -> str:
    sources, forbidden = (_listed(contract[key]) for key in ("source_modules", "forbidden_modules"))
    directly = " directly" if contract.get("allow_indirect_imports") else ""
    return f"- {contract['name']}: {sources} must not import {forbidden}{directly}."


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
