"""Whether a model that is exported while others train on is of one moment."""

from __future__ import annotations

import json
import tempfile
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from autodist_saved.cluster import Cluster
from benchmarks.arguments import Directory, JsonFile
from benchmarks.job import measure


class Consistency(StrEnum):
    """As in ``ExportOptions``."""

    STEP = "step"
    NONE = "none"


def consistency(
    exports: Annotated[int, typer.Option(help="how many models are exported, and checkpoints saved by stock")] = 200,
    consistency: Annotated[Consistency, typer.Option(help="as in ExportOptions")] = Consistency.STEP,
    mib: Annotated[float, typer.Option(help="size of the model, MiB")] = 16,
    directory: Directory = None,
    json_file: JsonFile = None,
) -> None:
    """The chief exports while it trains itself, with two workers, asynchronously, on two parameter servers.

    Every step adds 1 to every element of 64 variables and their slots, and to the global step. Each export is read
    with plain TensorFlow, and so are checkpoints that TensorFlow's plain saver writes between the exports.
    """
    with tempfile.TemporaryDirectory(prefix="consistency-", dir=directory, ignore_cleanup_errors=True) as place:
        figures: dict[str, Any] = {"exports": exports, "consistency": consistency, "mib": mib}
        figures |= measure(
            "benchmarks.consistency_task",
            Cluster.local(ps=2, workers=2, chief=True),
            [str(exports), consistency, str(mib), place],
            timeout_secs=3600,
        )
    _show(figures)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2))


def _show(figures: dict[str, Any]) -> None:
    title = f"{figures['exports']} saves each, during {figures['steps']} steps"
    table = Table("saver", "torn", "of another step than told", "seconds (median)", title=title)
    for saver, prefix in ((f"ours, consistency={figures['consistency']}", ""), ("stock, plain", "stock_")):
        torn, seconds = figures[f"{prefix}torn"], figures[f"{prefix}median_seconds"]
        table.add_row(saver, str(torn), str(figures.get(f"{prefix}step_mismatches", "")), f"{seconds:.2f}")
    Console().print(table)
