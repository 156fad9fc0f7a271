"""Whether a server that watches a job's versions ever sees one that is not whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from autodist_saved.cluster import Cluster
from benchmarks.arguments import Directory, JsonFile
from benchmarks.job import measure


def publish(
    secs: Annotated[float, typer.Option(help="how long the job trains")] = 180,
    every_secs: Annotated[float, typer.Option(help="seconds between two versions")] = 5,
    keep: Annotated[int, typer.Option(help="the newest so many versions stay")] = 5,
    directory: Directory = None,
    json_file: JsonFile = None,
) -> None:
    """A chief and two workers train on flights, on two parameter servers, and the chief publishes meanwhile.

    A process with nothing but TensorFlow polls the base directory as TensorFlow Serving does, loads each version as
    soon as it sees it, and asks it about real flights. The status is 1 where anything that it saw was wrong.
    """
    with tempfile.TemporaryDirectory(prefix="publish-", dir=directory, ignore_cleanup_errors=True) as place:
        base = Path(place) / "base"
        with _watched(base, Path(place)) as seen:
            cluster = Cluster.local(ps=2, workers=2, chief=True)
            arguments = [str(secs), str(every_secs), str(keep), str(base)]
            job = measure("benchmarks.publish_task", cluster, arguments, timeout_secs=secs + 600)
    figures = {"secs": secs, "every_secs": every_secs, "keep": keep, **job, **seen}
    figures["unseen"] = sorted(
        set(job["published"]) - {*map(int, [*seen["loaded"], *seen["failed"], *seen["missed"]])}
    )
    _show(figures)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2))
    if wrong := complaints(figures):
        typer.echo("\n".join(wrong), err=True)
        raise typer.Exit(1)


def complaints(figures: dict[str, Any]) -> list[str]:
    """What is wrong with what was seen; nothing, if all is well."""
    wrong = [
        f"{what}: {figures[name]}"
        for name, what in (
            ("failed", "versions that did not load or answer"),
            ("half_written", "directories with the name of a version that were no models when they appeared"),
            ("out_of_order", "versions that appeared after a greater one, or are of an earlier step"),
            ("unseen", "versions that were published and never seen"),
        )
        if figures[name]
    ]
    if figures["most_at_once"] > figures["keep"] + 1:  # the oldest one goes after the newest has come
        wrong.append(f"{figures['most_at_once']} versions at once, though {figures['keep']} are kept")
    if not figures["loaded"]:
        wrong.append("no version was loaded, so nothing is shown")
    return wrong


@contextmanager
def _watched(base: Path, place: Path) -> Iterator[dict[str, Any]]:
    """What a server has seen during the block; filled in after it."""
    over, result, seen = place / "over", place / "seen.json", dict[str, Any]()
    watch = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.publish_watch", base, over, result],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"},
    )
    try:
        yield seen
        over.touch()
        if watch.wait(600) != 0:
            raise RuntimeError("the process that watches has failed; what it said is above")
        seen |= json.loads(result.read_text())
    finally:
        watch.kill()
        watch.wait()


def _show(figures: dict[str, Any]) -> None:
    title = (
        f"{figures['secs']:g} s, a version every {figures['every_secs']:g} s, {figures['steps']:,} steps meanwhile"
    )
    table = Table("versions", "", title=title)
    for name in ("published", "loaded", "missed", "failed", "half_written", "out_of_order", "unseen"):
        table.add_row(name.replace("_", " "), str(len(figures[name])))
    table.add_row("most at once", f"{figures['most_at_once']} ({figures['keep']} are kept)")
    Console().print(table)
