"""What the gate costs as long as no cut is on."""

from __future__ import annotations

import json
import statistics
import timeit
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Annotated, Any

import tensorflow as tf
import tensorflow.compat.v1 as v1
import typer
from rich.console import Console
from rich.table import Table

import autodist_saved as ads
from autodist_saved.control.gate import Gate
from benchmarks.arguments import JsonFile
from benchmarks.job import measure


def gate(
    repeats: Annotated[int, typer.Option(help="repeats of each loop")] = 100,
    passes: Annotated[int, typer.Option(help="passes through the gate in one loop")] = 20_000,
    runs: Annotated[int, typer.Option(help="runs of the session in one loop")] = 200,
    seconds: Annotated[float, typer.Option(help="how long messages are counted, once idle, once training")] = 10,
    json_file: JsonFile = None,
) -> None:
    """A pass through an open gate, a run of a session that has one, and what a worker tells its chief meanwhile."""
    figures: dict[str, Any] = {**_passes(passes, repeats), **_runs(runs, repeats)}
    cluster = ads.Cluster.local(ps=1, workers=1, chief=True)
    # Of minima, because what a busy machine adds to either run is more than what the gate does.
    for name in ("run_step", "run_nothing"):
        figures[f"{name}_adds_us"] = figures[name]["min_us"] - figures[f"{name}_stock"]["min_us"]
    figures["messages"] = measure("benchmarks.gate_task", cluster, [str(seconds)], timeout_secs=600 + 2 * seconds)
    figures["seconds"] = seconds
    _show(figures)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2))


def _passes(number: int, repeats: int) -> dict[str, Any]:
    def loop(block: Callable[[], AbstractContextManager[None]]) -> None:
        for _ in range(number):
            with block():
                pass

    return _microseconds(number, repeats, gate=partial(loop, Gate().step), nullcontext=partial(loop, nullcontext))


def _runs(number: int, repeats: int) -> dict[str, Any]:
    """The same session with and without what is ours; a run that is a step, and one that changes nothing."""

    def loop(run: Callable[[tf.Operation], None], fetch: tf.Operation) -> None:
        for _ in range(number):
            run(fetch)

    with tf.Graph().as_default():
        step = v1.assign_add(v1.train.get_or_create_global_step(), 1).op
        nothing = tf.no_op()
        with ads.create_distributed_session(ads.Cluster.single()) as sess:
            session = sess.raw_session()
            plain = partial(v1.Session.run, session)
            return _microseconds(
                number,
                repeats,
                run_step=partial(loop, session.run, step),
                run_step_stock=partial(loop, plain, step),
                run_nothing=partial(loop, session.run, nothing),
                run_nothing_stock=partial(loop, plain, nothing),
            )


def _microseconds(number: int, repeats: int, **loops: Callable[[], None]) -> dict[str, Any]:
    """Of one turn of each loop. They go in turn, so that whatever slows the machine slows all of them."""
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(repeats):
        for name, loop in loops.items():
            taken[name].append(1e6 * timeit.timeit(loop, number=1) / number)
    return {name: {"min_us": min(found), "median_us": statistics.median(found)} for name, found in taken.items()}


def _show(figures: dict[str, Any]) -> None:
    table = Table("", "min, µs", "median, µs", title="Open gate")
    for name, found in figures.items():
        if isinstance(found, dict) and "min_us" in found:
            table.add_row(name, f"{found['min_us']:.2f}", f"{found['median_us']:.2f}")
    for name in ("run_step", "run_nothing"):
        table.add_row(f"{name} minus stock", f"{figures[f'{name}_adds_us']:.2f}", "")
    messages = Table("worker", *figures["messages"]["idle"], title=f"Worker and chief in {figures['seconds']:g} s")
    for name, found in figures["messages"].items():
        messages.add_row(name, *map(str, found.values()))
    console = Console()
    console.print(table)
    console.print(messages)
