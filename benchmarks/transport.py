"""How fast staged bytes come from parameter servers into the chief's file, by ours and by well-known transports."""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.arguments import Directory, JsonFile
from benchmarks.memory import MIB
from benchmarks.transport_ways import WAYS, Way, held_bytes


def transport(
    mib: Annotated[int, typer.Option(help="bytes of all parameter servers, MiB")] = 1024,
    ps: Annotated[int, typer.Option(help="parameter servers, each a process")] = 2,
    rounds: Annotated[int, typer.Option(help="transfers per way; figures are medians")] = 5,
    directory: Directory = None,
    json_file: JsonFile = None,
) -> None:
    """Parameter servers hold bytes, checksum and send them; the chief writes them into its file. No TensorFlow.

    Every way does the same: CRC32C where the bytes come from, and their place in one file of the chief. Arrow Flight
    needs ``pip install pyarrow``.
    """
    nbytes = mib * MIB // ps
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="transport-", dir=directory) as place:
        file = Path(place) / "data"
        with file.open("wb") as new:
            os.posix_fallocate(new.fileno(), 0, nbytes * ps)
        for name, way in WAYS.items():
            seconds[name] = _measured(way, file, nbytes, ps, rounds)
    figures: dict[str, Any] = {"mib": mib, "ps": ps, "rounds": rounds, "seconds": seconds}
    figures |= {f"{name}_over_socket": seconds[name] / seconds["socket"] for name in seconds}
    table = Table("way", "seconds", "GB per second", title=f"{mib} MiB from {ps} parameter servers; medians")
    for name, taken in seconds.items():
        table.add_row(name, f"{taken:.3f}", f"{mib * MIB / taken / 1e9:.2f}")
    Console().print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2))


def _measured(way: Way, file: Path, nbytes: int, ps: int, rounds: int) -> float:
    """Median seconds of one way, after a round that is not counted."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit gRPC's threads
    ends, processes = [], []
    for _ in range(ps):
        here, there = context.Pipe()
        processes.append(context.Process(target=way.serve, args=(nbytes, there), daemon=True))
        processes[-1].start()
        ends.append(here)
    try:
        with way.receiver(ends, nbytes) as receive, ThreadPoolExecutor(ps) as pool:
            taken = []
            for _ in range(rounds + 1):
                began = time.perf_counter()
                list(pool.map(lambda number: receive(number, file, number * nbytes), range(ps)))
                taken.append(time.perf_counter() - began)
    finally:
        for end, process in zip(ends, processes, strict=True):
            end.close()
            process.join(10)
            process.terminate()
    expected, written = held_bytes(nbytes), np.memmap(file, np.uint8, "r+")
    if any(not np.array_equal(written[start : start + nbytes], expected) for start in range(0, nbytes * ps, nbytes)):
        raise RuntimeError(f"{type(way).__name__} brought other bytes than the parameter servers hold")
    written[:] = 0  # the next way has to write all of it again
    return statistics.median(taken[1:])
