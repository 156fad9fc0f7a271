"""What every task of ``consistency`` runs: all train, and the chief saves meanwhile and reads what it has saved."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.report.witness import Witness
from benchmarks.counting_model import VARIABLES, build
from benchmarks.task import take_part, workers_training


@dataclass
class Saves:
    """What one saver's saves were like.

    Attributes:
        seconds: each took.
        torn: how many held values of several steps.
        step_mismatches: how many were of one step, and told another one.
    """

    seconds: list[float] = field(default_factory=list)
    torn: int = 0
    step_mismatches: int = 0

    def read(self, prefix: Path, witness: Witness | None) -> None:
        """Read a save with plain TensorFlow. Its global step is compared with what the witness of a cut says, too."""
        reader = tf.train.load_checkpoint(str(prefix))
        names = reader.get_variable_to_shape_map().keys() - {"global_step"}
        if len(names) != 2 * VARIABLES:
            raise RuntimeError(f"{len(names)} variables and slots in {prefix}, not {2 * VARIABLES}")
        steps: set[Any] = set()
        for name in names:
            value = reader.get_tensor(name)
            steps |= {value.min(), value.max()}
        told: set[Any] = {int(reader.get_tensor("global_step"))}
        if witness is not None:
            told |= {witness.global_step_before, witness.global_step_after, sum(witness.steps.values())}
        self.torn += len(steps) > 1
        self.step_mismatches += len(steps) == 1 and steps != told


def main(result: Path, exports: int, consistency: str, mib: float, directory: Path) -> None:
    cluster = take_part()
    if cluster is None:
        return
    over = directory / "over"
    options = ads.ExportOptions(consistency=consistency)
    with v1.Graph().as_default(), cluster.device_scope():
        train = build(mib, len(cluster.addresses["ps"]))
        saver, stock_saver = ads.Saver(), v1.train.Saver()
        with ads.create_distributed_session(cluster, saver=saver) as sess:
            session = sess.raw_session()

            def train_on() -> None:
                while not over.exists():
                    session.run(train)

            if not cluster.is_chief:
                train_on()
                return
            # The chief trains as well, in a thread beside its exports: a cut has to stop that, too.
            training = threading.Thread(target=train_on)
            ours, stock = Saves(), Saves()
            with workers_training(sess, over):
                training.start()
                for _ in range(exports):
                    _export(sess, saver, options, directory / "model", ours)
                    _save_stock(session, stock_saver, directory / "checkpoint", stock)
            training.join()
            steps = int(session.run(v1.train.get_global_step()))
    result.write_text(
        json.dumps(
            {
                "torn": ours.torn,
                "step_mismatches": ours.step_mismatches,
                "median_seconds": statistics.median(ours.seconds),
                "stock_torn": stock.torn,
                "stock_median_seconds": statistics.median(stock.seconds),
                "steps": steps,
            }
        )
    )


def _export(
    sess: v1.train.MonitoredSession, saver: ads.Saver, options: ads.ExportOptions, model: Path, saves: Saves
) -> None:
    began = time.perf_counter()
    builder = ads.SavedModelBuilder(model, options=options)
    builder.add_meta_graph_and_variables(sess, ["serve"], saver=saver)
    builder.save()
    saves.seconds.append(time.perf_counter() - began)
    witness = builder.report.witness if options.consistency == "step" else None
    saves.read(model / "variables" / "variables", witness)
    shutil.rmtree(model)


def _save_stock(session: v1.Session, saver: v1.train.Saver, directory: Path, saves: Saves) -> None:
    directory.mkdir()
    began = time.perf_counter()
    prefix = saver.save(session, str(directory / "model"), write_meta_graph=False, write_state=False)
    saves.seconds.append(time.perf_counter() - began)
    saves.read(prefix, None)
    shutil.rmtree(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4]), Path(sys.argv[5]))
