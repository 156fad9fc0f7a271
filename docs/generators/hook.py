"""What MkDocs calls while it builds the site: a marker in a page becomes the part that its generator makes.

A marker is a line of its own, ``<!-- generated: options -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import command_line
import errors
import layers
import manifest
import optimizers
import options
import public_reports
import seams
import types_of_elements

GENERATORS: dict[str, Callable[[], str]] = {
    "command line": command_line.page,
    "errors": errors.page,
    "layers": layers.page,
    "manifest": manifest.page,
    "options": options.page,
    "optimizers": optimizers.page,
    "public reports": public_reports.page,
    "seams": seams.page,
    "tools for seams": seams.tools,
    "types of elements": types_of_elements.page,
}
_MARKER = re.compile(r"^<!-- generated: (.+) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs' event: the source of one page. Raises ``KeyError`` for a marker that no generator knows."""
    return _MARKER.sub(lambda marker: GENERATORS[marker[1]](), markdown)
