"""The options in docs/guide.md are those of the classes: their names, defaults and what the docstrings say."""

from __future__ import annotations

import inspect
import re

import pytest

import autodist_saved as ads
from autodist_saved.options import MIB, Options
from tests.documentation.test_guide import GUIDE

CLASSES = [ads.ExportSchedule, ads.Retention, ads.ExportOptions, ads.SessionOptions]


def section(options: type[Options]) -> str:
    """What the guide has to say of a class of options."""
    described = described_in(inspect.getdoc(options) or "")
    rows = [
        f"| `{name}` | `{default(name, field.default)}` | {described[name]} |"
        for name, field in options.model_fields.items()
    ]
    return "\n".join([f"### `{options.__name__}`", "", "| option | default | |", "|---|---|---|", *rows]) + "\n"


def described_in(docstring: str) -> dict[str, str]:
    """What the section ``Attributes`` says of each name, in one line of Markdown."""
    attributes = docstring.partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE)
    return {name: " ".join(text.split()).replace("``", "`") for name, text in found}


def default(name: str, value: object) -> str:
    return f"{value // MIB} MiB" if name.endswith("_bytes") and isinstance(value, int) else repr(value)


@pytest.mark.parametrize("options", CLASSES)
def test_the_guide_has_every_option_as_it_is(options: type[Options]) -> None:
    expected = section(options)
    assert expected in GUIDE, f"docs/guide.md has to say:\n\n{expected}"
