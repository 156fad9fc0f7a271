"""What every task of ``publish`` runs: all train on flights, and the chief's hook publishes."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import tensorflow.compat.v1 as v1

import autodist_saved as ads
from benchmarks.task import take_part, workers_training
from examples.flight_delays.data import Flights, load
from examples.flight_delays.model import build_model

BATCH_SIZE = 512


def main(result: Path, secs: float, every_secs: float, keep: int, base: Path) -> None:
    cluster = take_part()
    if cluster is None:
        return
    over = base.parent / "trained"
    dataset = load()
    trainers = [task for task in cluster.tasks if task.type != "ps"]
    batches = _batches(dataset.train.shard(trainers.index(cluster.task), len(trainers)))
    with v1.Graph().as_default(), cluster.device_scope():
        model = build_model(dataset.vocabulary_sizes, partitions=len(cluster.addresses["ps"]))
        saver = ads.Saver()
        hook = ads.ChiefExportHook(
            ads.VersionedTarget(base, retention=ads.Retention(keep=keep)),
            saver=saver,
            signature_def_map=model.signatures(),
            train_op=model.train_op,
            schedule=ads.ExportSchedule(every_secs=every_secs, on_error="fail"),
        )
        config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=2)
        with ads.create_distributed_session(cluster, saver=saver, hooks=[hook], config=config) as sess:
            if not cluster.is_chief:
                while not over.exists():
                    sess.run(model.train_op, model.feed(next(batches)))
                return
            with workers_training(sess, over):
                began = time.monotonic()
                while time.monotonic() < began + secs:
                    sess.run(model.train_op, model.feed(next(batches)))
            steps = int(sess.raw_session().run(model.global_step))
    result.write_text(json.dumps({"published": [int(Path(path).name) for path in hook.published], "steps": steps}))


def _batches(flights: Flights) -> Iterator[Flights]:
    epochs = (flights.batches(seed, BATCH_SIZE) for seed in itertools.count())
    return itertools.chain.from_iterable(epochs)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
