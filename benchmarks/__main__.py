"""``python -m benchmarks gather --mib 1024 --ps 2``: see ``python -m benchmarks --help``."""

from __future__ import annotations

import typer

from benchmarks.consistency import consistency
from benchmarks.gate import gate
from benchmarks.gather import gather
from benchmarks.publish import publish
from benchmarks.stall import stall
from benchmarks.transport import transport

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
for command in (gather, consistency, gate, stall, publish, transport):
    app.command()(command)

if __name__ == "__main__":
    app()
