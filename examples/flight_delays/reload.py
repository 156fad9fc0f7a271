"""One machine and nothing but TensorFlow: load the SavedModel, measure it, go on training it.

Nothing here knows that the model was trained on a cluster, or by whom it was written.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from examples.flight_delays.auc import auc
from examples.flight_delays.data import Dataset, Flights, load

BATCH_SIZE = 512
EVALUATION_BATCH_SIZE = 32_768
SEED = 1


def main() -> None:
    """Measure the exported model beside the live one and write ``reload.json``."""
    parser = argparse.ArgumentParser(description="Load the exported SavedModel with plain TensorFlow.")
    parser.add_argument("--export-dir", type=Path, required=True, help="the SavedModel")
    parser.add_argument(
        "--results-dir", type=Path, required=True, help="what the chief measured; this adds reload.json"
    )
    arguments = parser.parse_args()
    tf.get_logger().setLevel("ERROR")  # the session loader is deprecated, and is what many jobs still use

    dataset = load()
    live = np.load(arguments.results_dir / "live_probability.npy")
    live_auc = json.loads((arguments.results_dir / "live.json").read_text())["auc"]
    results = {
        "auc_live": live_auc,
        **check_session_loader(str(arguments.export_dir), dataset, live),
        **check_object_loader(str(arguments.export_dir), dataset.held_out, live),
    }
    if "autodist_saved" in sys.modules:
        raise RuntimeError("autodist_saved was imported: this does not show that plain TensorFlow is enough")
    (arguments.results_dir / "reload.json").write_text(json.dumps(results, indent=2))
    for name, value in results.items():
        print(f"{name:>34}: {value:.9g}")


def check_session_loader(export_dir: str, dataset: Dataset, live: np.ndarray) -> dict[str, float]:
    """Load into a session, compare the predictions, then train for one epoch through the loaded train op."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], export_dir)
        predict = meta_graph.signature_def["serving_default"]
        evaluate = meta_graph.signature_def["evaluate"]
        (train_op,) = meta_graph.collection_def["saved_model_train_op"].node_list.value

        def mean_loss() -> float:
            sums = [
                len(batch) * session.run(evaluate.outputs["loss"].name, feed(evaluate, batch))
                for batch in dataset.train.batches(SEED, EVALUATION_BATCH_SIZE)
            ]
            return float(sum(sums) / len(dataset.train))

        probability = session.run(predict.outputs["probability"].name, feed(predict, dataset.held_out))
        loss_before = mean_loss()
        for batch in dataset.train.batches(SEED, BATCH_SIZE):
            session.run(train_op, feed(evaluate, batch))
        return {
            "auc_reloaded": auc(dataset.held_out.late, probability),
            "largest_difference": float(np.abs(probability - live).max()),
            "loss_before": loss_before,
            "loss_after": mean_loss(),
        }


def check_object_loader(export_dir: str, held_out: Flights, live: np.ndarray) -> dict[str, float]:
    """Load as an object, the way of TensorFlow 2, and compare the predictions."""
    predict = tf.saved_model.load(export_dir, tags=["serve"]).signatures["serving_default"]
    inputs = {name: tf.constant(ids) for name, ids in held_out.features.items()}
    probability = predict(**inputs)["probability"].numpy()
    return {
        "auc_object_loader": auc(held_out.late, probability),
        "largest_difference_object_loader": float(np.abs(probability - live).max()),
    }


def feed(signature: Any, flights: Flights) -> dict[str, np.ndarray]:
    """Values for the inputs of a signature, by the names of their tensors."""
    columns = {**flights.features, "late": flights.late}
    return {info.name: columns[name] for name, info in signature.inputs.items()}


if __name__ == "__main__":
    main()
