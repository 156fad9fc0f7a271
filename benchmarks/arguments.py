"""Options that the benchmarks have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Directory = Annotated[Path | None, typer.Option(help="where to write; a temporary directory if absent")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="write the figures here")]
