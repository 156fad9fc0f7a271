"""A job that exports a hundred times, with everything there is to export: its graph and memory stay as they are."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads

EXPORTS = 100
WARM_UP = 20
MODEL_BYTES = GRAPH_BYTES = 2**20


def resident_bytes() -> int:
    """What this process holds of the machine's memory."""
    gc.collect()
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def contents(graph: tf.Graph) -> Any:
    """All that exports may leave behind in a graph."""
    return len(graph.get_operations()), {key: graph.get_collection(key) for key in graph.collections}


class Exports:
    """What was seen of them: contents of the graph before and after, and memory after each."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.memory: list[int] = []
        words = place / "words.txt"
        words.write_text("late\nearly\n")
        with tf.Graph().as_default() as graph:
            arguments = self._build(words)
            scaffold = v1.train.Scaffold(saver=arguments["saver"])
            with v1.train.MonitoredTrainingSession(scaffold=scaffold) as session:
                self.before = contents(graph)
                for number in range(EXPORTS):
                    session.run(arguments["train_op"])
                    builder = ads.SavedModelBuilder(place / str(number))
                    builder.add_meta_graph_and_variables(session, ["train"], **arguments)
                    builder.add_meta_graph(["serve"], arguments["signature_def_map"])
                    builder.save()
                    self.memory.append(resident_bytes())
                self.after = contents(graph)

    def _build(self, words: Path) -> dict[str, Any]:
        whole_line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        lines = tf.lookup.TextFileInitializer(str(words), tf.string, whole_line, tf.int64, number)
        x = v1.placeholder(tf.string, [None], "x")
        ids = tf.lookup.StaticHashTable(lines, -1).lookup(x)
        noise = np.random.default_rng(0).normal(size=GRAPH_BYTES // 4).astype(np.float32)
        weight = v1.get_variable("w", [MODEL_BYTES // 4], initializer=v1.zeros_initializer())
        y = tf.add(tf.cast(ids, tf.float32), weight[0] + 0.0 * tf.reduce_sum(tf.constant(noise)), name="y")
        with tf.control_dependencies([v1.assign_add(weight, tf.ones_like(weight))]):
            train_op = tf.group(v1.assign_add(v1.train.get_or_create_global_step(), 1))
        return {
            "signature_def_map": {"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": y})},
            "assets_collection": v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            "main_op": v1.tables_initializer(),
            "saver": ads.Saver(),
            "train_op": train_op,
        }


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(tmp_path_factory.mktemp("exports"))


@pytest.mark.slow
def test_the_graph_stays_as_it_was(exports: Exports) -> None:
    assert exports.before == exports.after


@pytest.mark.slow
def test_the_memory_stays_as_it_was(exports: Exports, record_property: Any) -> None:
    memory = exports.memory[WARM_UP:]
    growth = memory[-1] - memory[0]
    told = f"{len(memory)} exports of {(MODEL_BYTES + GRAPH_BYTES) >> 20} MiB: {growth / 2**20:+.1f} MiB"
    record_property("growth", told)
    print(told)  # noqa: T201
    # Were anything of a model or a graph held, it would be as much of each.
    assert growth < len(memory) * MODEL_BYTES / 4


@pytest.mark.slow
def test_each_model_loads_and_is_of_its_own_moment(exports: Exports) -> None:
    (exports.place / "words.txt").unlink()
    for number in range(EXPORTS):
        with tf.Graph().as_default(), v1.Session() as session:
            v1.saved_model.loader.load(session, ["train"], str(exports.place / str(number)))
            assert session.run("y:0", {"x:0": ["early"]}) == number + 2.0
            assert session.run(v1.train.get_global_step()) == number + 1
