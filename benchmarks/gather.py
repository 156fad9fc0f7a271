"""How long it takes to bring a model from its parameter servers into one place, and what it costs the chief."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from autodist_saved.cluster import Cluster, Task
from autodist_saved.options import ExportOptions
from benchmarks.arguments import Directory, JsonFile
from benchmarks.job import measure
from benchmarks.memory import MIB

METHODS = ["stock_plain", "stock_sharded", "stream", "shared"]


def gather(
    mib: Annotated[int, typer.Option(help="size of the model, MiB")] = 1024,
    ps: Annotated[int, typer.Option(help="parameter servers")] = 2,
    variables: Annotated[int, typer.Option(help="how many variables; 1 is partitioned")] = 1,
    rounds: Annotated[int, typer.Option(help="saves per method; figures are medians")] = 7,
    directory: Directory = None,
    json_file: JsonFile = None,
) -> None:
    """Stock savers and ours, side by side in one run: one after the other, each in processes of its own.

    None of them flushes what it writes to the disk.
    """
    place = Path(tempfile.mkdtemp(prefix="gather-", dir=directory))
    try:
        figures: dict[str, Any] = {"mib": mib, "ps": ps, "variables": variables, "rounds": rounds}
        figures["write_fsync_seconds"] = _write_and_fsync(place, mib)
        for method in METHODS:
            figures[method] = _measure(method, mib, ps, variables, rounds, place)
        if variables > 1:
            figures["stream_one_variable"] = _measure("stream", mib, ps, 1, rounds, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    seconds = {method: figures[method]["median_seconds"] for method in METHODS}
    figures["stream_over_stock_plain"] = seconds["stream"] / seconds["stock_plain"]
    figures["stream_over_stock_sharded"] = seconds["stream"] / seconds["stock_sharded"]
    figures["shared_over_stock_sharded"] = seconds["shared"] / seconds["stock_sharded"]
    if variables > 1:
        figures["stream_over_one_variable"] = seconds["stream"] / figures["stream_one_variable"]["median_seconds"]
    figures["chief_growth_mib"] = max(figures[method]["chief_growth_mib"] for method in ("stream", "shared"))
    figures["budget_mib"] = ExportOptions().memory_budget_bytes / MIB
    _show(figures)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2))


def _measure(method: str, mib: int, ps: int, variables: int, rounds: int, place: Path) -> dict[str, Any]:
    cluster = Cluster.local(ps=ps, workers=1).for_task(Task("worker", 0))
    arguments = [method, str(mib), str(variables), str(rounds), str(place)]
    return measure("benchmarks.gather_task", cluster, arguments, timeout_secs=1800)


def _write_and_fsync(place: Path, mib: int) -> float:
    """The machine's limit: as many bytes written to the same place, and fsynced."""
    chunk = np.ones(MIB, np.uint8)
    began = time.perf_counter()
    with (place / "limit").open("wb", buffering=0) as file:
        for _ in range(mib):
            file.write(chunk.data)
        os.fsync(file.fileno())
    seconds = time.perf_counter() - began
    (place / "limit").unlink()
    return seconds


def _show(figures: dict[str, Any]) -> None:
    table = Table("method", "seconds (median)", "first", "chief grows, MiB", title=f"{figures['mib']} MiB")
    for method in [*METHODS, "stream_one_variable"]:
        if method not in figures:
            continue
        found = figures[method]
        table.add_row(
            method,
            f"{found['median_seconds']:.2f}",
            f"{found['first_seconds']:.2f}",
            f"{found['chief_growth_mib']:.0f}",
        )
    table.add_row("written and fsynced", f"{figures['write_fsync_seconds']:.2f}", "", "")
    console = Console()
    console.print(table)
    console.print({name: round(value, 3) for name, value in figures.items() if "_over_" in name})
