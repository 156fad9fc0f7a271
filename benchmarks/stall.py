"""How long workers stand still for an export."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from enum import StrEnum
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from autodist_saved.cluster import Cluster
from benchmarks.arguments import Directory, JsonFile
from benchmarks.job import measure
from benchmarks.memory import MIB
from benchmarks.stall_task import METHODS


class Update(StrEnum):
    """What a training step changes."""

    SPARSE = "sparse"
    DENSE = "dense"


def stall(
    mib: Annotated[int, typer.Option(help="size of the model, MiB")] = 1024,
    ps: Annotated[int, typer.Option(help="parameter servers")] = 2,
    rounds: Annotated[int, typer.Option(help="saves per method; figures are medians")] = 5,
    update: Annotated[
        Update,
        typer.Option(help="rows of the whole table and its slot, or a sixteenth of the model, whole"),
    ] = Update.SPARSE,
    directory: Directory = None,
    json_file: JsonFile = None,
) -> None:
    """A worker trains and notes when its steps begin and end; the chief saves, in one way after the other.

    The pause is from the end of the last step before to the beginning of the first step after, or to that step's end
    less a usual step, whichever is longer. The stock savers have the workers parked as long as they save.
    """
    figures: dict[str, Any] = {"mib": mib, "ps": ps, "rounds": rounds, "update": update}
    with tempfile.TemporaryDirectory(prefix="stall-", dir=directory, ignore_cleanup_errors=True) as place:
        cluster = Cluster.local(ps=ps, workers=1, chief=True)
        figures |= measure(
            "benchmarks.stall_task", cluster, [str(mib), update, str(rounds), place], timeout_secs=3600
        )
    figures["copy_seconds"] = _copy(mib * MIB // ps)
    pause = {method: figures[method]["pause_seconds"] for method in METHODS}
    for warmth in ("cold", "warm"):
        figures[f"pause_over_stock_{warmth}"] = pause[warmth] / pause["stock_plain"]
    figures["pause_over_copy_warm"] = pause["warm"] / figures["copy_seconds"]
    figures["drag"] = min(figures[warmth]["drag"] for warmth in ("cold", "warm"))
    _show(figures)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2))


def _copy(nbytes: int) -> float:
    """Median seconds of a copy within memory that is there already."""
    source, target = np.ones(nbytes, np.uint8), np.ones(nbytes, np.uint8)
    taken = []
    for _ in range(9):
        began = time.perf_counter()
        np.copyto(target, source)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _show(figures: dict[str, Any]) -> None:
    title = f"{figures['mib']} MiB, {figures['update']} updates; medians, seconds"
    table = Table("method", "pause", "to next step", "through it", "save", "drag", title=title)
    for method in METHODS:
        found = figures[method]
        seconds = ("pause_seconds", "to_step_seconds", "through_step_seconds", "save_seconds")
        drag = "" if found["drag"] is None else f"{found['drag']:.2f}"
        table.add_row(method, *(f"{found[name]:.3f}" for name in seconds), drag)
    table.add_row("plain copy", f"{figures['copy_seconds']:.3f}")
    console = Console()
    console.print(table)
    names = ("pause_over_stock_cold", "pause_over_stock_warm", "pause_over_copy_warm", "drag")
    console.print({name: round(figures[name], 3) for name in names})
