"""Whether a server that watches a job's versions ever sees one that is not whole."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from autodist_saved.cluster import Cluster
from benchmarks.arguments import Directory, JsonFile
from benchmarks.job import ENVIRONMENT, measure, start

LOOK_SECS = 0.01


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
            trained = measure("benchmarks.publish_task", cluster, arguments, timeout_secs=secs + 600)
    figures = {"secs": secs, "every_secs": every_secs, "keep": keep, **trained, **seen}
    figures["unseen"] = sorted(
        set(trained["published"]) - {*map(int, [*seen["loaded"], *seen["failed"], *seen["missed"]])}
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
    begun, over, result, log = (place / name for name in ("begun", "over", "seen.json", "watch.log"))
    seen: dict[str, Any] = {}
    arguments = [str(base), str(begun), str(over), str(result)]
    watch = start("benchmarks.publish_watch", arguments, log, {**os.environ, **ENVIRONMENT})
    try:
        while not begun.exists():
            if watch.poll() is not None:
                raise RuntimeError(f"the process that watches failed\n{log.read_text()[-4000:]}")
            time.sleep(LOOK_SECS)
        yield seen
        over.touch()
        if watch.wait(600) != 0:
            raise RuntimeError(f"the process that watches failed\n{log.read_text()[-4000:]}")
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
