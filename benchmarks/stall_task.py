"""What every task of ``stall`` runs: a worker trains, and the chief saves in all ways, each some times over."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow.compat.v1 as v1

import autodist_saved as ads
from benchmarks.stall_model import build
from benchmarks.steps import Interval, Steps
from benchmarks.task import take_part, workers_training

METHODS = ["cold", "warm", "stock_plain", "stock_sharded"]
IDLE_SECS = 1.0


@dataclass(frozen=True)
class Save:
    """One save, and the time just before it, in which nothing was saved.

    Attributes:
        phases: seconds of an export's phases, by name.
    """

    idle: Interval
    saving: Interval
    phases: Mapping[str, float] = field(default_factory=dict)


def main(result: Path, mib: int, update: str, rounds: int, directory: Path) -> None:
    cluster = take_part()
    if cluster is None:
        return
    over, steps = directory / "over", directory / "steps.npy"
    with v1.Graph().as_default(), cluster.device_scope():
        train = build(mib, len(cluster.addresses["ps"]), update)
        saver = ads.Saver()
        plain, sharded = v1.train.Saver(), v1.train.Saver(sharded=True)
        with ads.create_distributed_session(cluster, saver=saver) as sess:
            if not cluster.is_chief:
                Steps.record(sess.gate, partial(sess.run, train), over.exists).write(steps)
                return
            ways = {
                "cold": partial(_export, sess, saver, ads.ExportOptions()),
                "warm": partial(_export, sess, saver, ads.ExportOptions(keep_staging_memory=True)),
                "stock_plain": partial(_save_stock, sess.raw_session(), plain),
                "stock_sharded": partial(_save_stock, sess.raw_session(), sharded),
            }
            with workers_training(sess, over):
                # The first of each prepares graphs and memory.
                saves = {
                    method: [_save(ways[method], directory / method) for _ in range(rounds + 1)][1:]
                    for method in METHODS
                }
                time.sleep(IDLE_SECS)
    result.write_text(json.dumps({method: _figures(saves[method], Steps.read(steps)) for method in METHODS}))


def _save(way: Callable[[Path], Mapping[str, float]], place: Path) -> Save:
    before = time.monotonic()
    time.sleep(IDLE_SECS)
    began = time.monotonic()
    phases = way(place)
    ended = time.monotonic()
    shutil.rmtree(place)
    return Save(Interval(before, began), Interval(began, ended), phases)


def _export(
    sess: v1.train.MonitoredSession, saver: ads.Saver, options: ads.ExportOptions, place: Path
) -> Mapping[str, float]:
    builder = ads.SavedModelBuilder(place, options=options)
    builder.add_meta_graph_and_variables(sess, ["serve"], saver=saver)
    builder.save()
    return builder.report.seconds


def _save_stock(session: v1.Session, saver: v1.train.Saver, place: Path) -> Mapping[str, float]:
    """What it takes with a stock saver that the checkpoint is of one moment: nobody trains while it saves."""
    place.mkdir()
    cut = session.job.cut(timeout_secs=60)
    cut.acquire()
    cut.extend()
    try:
        began = time.monotonic()
        saver.save(session, str(place / "model"), write_meta_graph=False, write_state=False)
        return {"write": time.monotonic() - began}
    finally:
        cut.release()


def _figures(saves: list[Save], steps: Steps) -> dict[str, Any]:
    """Medians over the saves, and the pause of each. ``drag`` is of exports: while they stream, the worker trains."""
    pauses = [steps.pause(save.saving, steps.usual_seconds(save.idle)) for save in saves]
    drag = [
        steps.per_second(Interval(pause.over_at, save.saving.ended)) / steps.per_second(save.idle)
        for pause, save in zip(pauses, saves, strict=True)
        if "stream" in save.phases
    ]
    return {
        "pause_seconds": statistics.median(pause.seconds for pause in pauses),
        "to_step_seconds": statistics.median(pause.to_step for pause in pauses),
        "through_step_seconds": statistics.median(pause.through_step for pause in pauses),
        "save_seconds": statistics.median(save.saving.seconds for save in saves),
        "usual_step_seconds": statistics.median(steps.usual_seconds(save.idle) for save in saves),
        "drag": statistics.median(drag) if drag else None,
        "phases_seconds": {name: statistics.median(save.phases[name] for save in saves) for name in saves[0].phases},
        "pauses": [pause.seconds for pause in pauses],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]))
