"""What every task of the job runs: parameter servers serve, chief and workers train, the chief exports.

``autodist-saved launch`` starts it once for each task; README.md has the command.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

import autodist_saved as ads
from examples.flight_delays.auc import auc
from examples.flight_delays.data import Flights, load
from examples.flight_delays.model import Model, build_model

BATCH_SIZE = 512


def main() -> None:
    """Play the part that ``TF_CONFIG`` gives to this process; without one, the whole job in one process."""
    parser = argparse.ArgumentParser(description="Train on the flights of 2013 and export one SavedModel.")
    parser.add_argument("--export-dir", type=Path, required=True, help="the SavedModel; must not exist yet")
    parser.add_argument("--checkpoint-dir", type=Path, required=True, help="training resumes from here")
    parser.add_argument("--results-dir", type=Path, required=True, help="what the chief measured goes here")
    parser.add_argument("--epochs", type=int, default=3, help="passes of all trainers over all flights")
    arguments = parser.parse_args()
    tf.get_logger().setLevel("ERROR")  # graph mode is deprecated, and is what many jobs still use

    cluster = ads.Cluster.from_tf_config()
    if cluster.task.type == "ps":
        ads.serve(cluster)
    else:
        train(cluster, arguments)


def train(cluster: ads.Cluster, arguments: argparse.Namespace) -> None:
    """Train on this task's part of the flights; on the chief, export when every trainer has finished."""
    dataset = load()
    trainers = [task for task in cluster.tasks if task.type in ("chief", "master", "worker")]
    mine = dataset.train.shard(trainers.index(cluster.task), len(trainers))
    last_step = arguments.epochs * len(dataset.train) // BATCH_SIZE

    builder = ads.SavedModelBuilder(arguments.export_dir)  # refuses a directory that is taken before the training
    with tf.Graph().as_default(), cluster.device_scope():
        model = build_model(dataset.vocabulary_sizes, partitions=len(cluster.addresses.get("ps", ())))
        saver = ads.Saver()
        with ads.create_distributed_session(
            cluster,
            saver=saver,
            checkpoint_dir=str(arguments.checkpoint_dir),
            hooks=[tf.compat.v1.train.StopAtStepHook(last_step=last_step)],
            config=tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=2),
        ) as session:
            run_steps(session, model, mine, last_step, str(cluster.task))
            if cluster.is_chief:
                session.wait_for_workers()
                measure(session, model, dataset.held_out, arguments.results_dir)
                export(session, model, saver, builder, arguments.results_dir)


def run_steps(session: ads.DistributedSession, model: Model, flights: Flights, last_step: int, name: str) -> None:
    """Epoch after epoch over these flights, until all trainers together have done ``last_step`` steps."""
    epochs = (flights.batches(seed, BATCH_SIZE) for seed in itertools.count())
    batches = itertools.chain.from_iterable(epochs)
    with tqdm(total=last_step, desc=name, unit="step", ncols=80, mininterval=0.5) as bar:
        while not session.should_stop():
            fetches = (model.global_step, model.loss, model.train_op)
            step, loss, _ = session.run(fetches, model.feed(next(batches)))
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update(min(step, last_step) - bar.n)  # the other trainers' steps, too


def measure(session: ads.DistributedSession, model: Model, held_out: Flights, results_dir: Path) -> None:
    """Write what the live cluster predicts for the held-out flights, and how well."""
    # Training is over for the monitored session, which refuses to run; the plain one inside still reads.
    probability = session.raw_session().run(model.probability, model.feed(held_out))
    results_dir.mkdir(parents=True, exist_ok=True)
    np.save(results_dir / "live_probability.npy", probability)
    (results_dir / "live.json").write_text(json.dumps({"auc": auc(held_out.late, probability)}))


def export(
    session: ads.DistributedSession,
    model: Model,
    saver: ads.Saver,
    builder: ads.SavedModelBuilder,
    results_dir: Path,
) -> None:
    """Write the SavedModel, from which one machine predicts and goes on training, and the report about it."""
    builder.add_meta_graph_and_variables(
        session, ["serve"], signature_def_map=model.signatures(), saver=saver, train_op=model.train_op
    )
    builder.save()
    print(builder.report)
    (results_dir / "export.json").write_text(builder.report.to_json())


if __name__ == "__main__":
    main()
