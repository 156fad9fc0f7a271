"""A reader in which there is no code of TensorFlow's: OpenVINO has its own parser of graphs and bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.support.served import export, signatures

IDS = np.arange(0, 100, 7, dtype=np.int32)


def build(partitioner: Any) -> tuple[tf.Tensor, tf.Tensor]:
    x = v1.placeholder(tf.int32, [None], "x")
    table = v1.get_variable("table", [100, 8], partitioner=partitioner, use_resource=True)
    weight = v1.get_variable("weight", [8, 3], use_resource=True)
    return x, tf.nn.softmax(tf.matmul(v1.nn.embedding_lookup(table, x, "div"), weight), name="y")


def ask_openvino(model: Path) -> np.ndarray:
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers: np.ndarray = compiled({0: IDS})[0]
    return answers


def test_a_partitioned_job_is_read_by_another_library_with_equal_numbers(graph: tf.Graph, tmp_path: Path) -> None:
    # Trained in pieces, served whole: two graphs on the same variables.
    x, y = build(v1.fixed_size_partitioner(3))
    step = v1.train.get_or_create_global_step()
    train_op = v1.train.AdamOptimizer(0.1).minimize(tf.reduce_sum(y[:, 0]), global_step=step)
    saver = ads.Saver()
    with ads.create_distributed_session(ads.Cluster.single(), saver=saver) as session:
        for _ in range(5):
            session.run(train_op, {x: IDS})
        live = session.run(y, {x: IDS})
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, ["train"], saver=saver, train_op=train_op)
        with tf.Graph().as_default():
            served_x, served_y = build(None)
            signature = v1.saved_model.predict_signature_def({"x": served_x}, {"y": served_y})
            builder.add_meta_graph(["serve"], {"serving_default": signature}, saver=ads.Saver())
        builder.save()

    np.testing.assert_allclose(ask_openvino(tmp_path / "model"), live, rtol=0, atol=1e-5)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.loader.load(session, ["serve"], str(tmp_path / "model"))
        np.testing.assert_array_equal(session.run("y:0", {"x:0": IDS}), live)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_folded_graph_is_read_by_another_library(graph: tf.Graph, tmp_path: Path, axis: int) -> None:
    x = v1.placeholder(tf.int32, [None], "x")
    partitioner = v1.fixed_size_partitioner(3, axis=axis)
    table = v1.get_variable("table", [100, 8], partitioner=partitioner, use_resource=True)
    found = tf.gather(tf.convert_to_tensor(table), x) if axis else v1.nn.embedding_lookup(table, x, "div")
    y = tf.nn.softmax(found, name="y")
    saver = ads.Saver()
    with ads.create_distributed_session(ads.Cluster.single(), saver=saver) as session:
        live = session.run(y, {x: IDS})
        export(session, tmp_path / "model", saver, signatures({"x": x}, {"y": y}))
    np.testing.assert_allclose(ask_openvino(tmp_path / "model"), live, rtol=0, atol=1e-5)
