"""What people have reported about exports of sessions and of distributed jobs, tried with this package.

Where each comes from is in ``docs/generators/public_reports.py``.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import UsageError
from docs.generators.public_reports import REPORTS
from tests.support.patience import PATIENCE_SECS
from tests.support.served import ask, export, ops, signatures, variables
from tests.support.synchronous import REPLICAS, SyncTraining, weights

FORMS = pytest.mark.parametrize("form", ["complete", "serving"])


def halved(name: str, shape: list[int], **arguments: Any) -> Any:
    """A variable in two pieces, with numbers that tell one from another."""
    return v1.get_variable(
        name,
        shape,
        initializer=v1.random_normal_initializer(seed=1),
        partitioner=v1.fixed_size_partitioner(2),
        **arguments,
    )


def exported(path: Path, saver: ads.Saver, session: Any, signature_map: Any, form: str) -> Path:
    if form == "serving":
        export(session, path, saver, signature_map)
        return path
    builder = ads.SavedModelBuilder(path)
    builder.add_meta_graph_and_variables(session, ["serve"], signature_map, saver=saver)
    builder.save()
    return path


def same(path: Path, session: Any, outputs: Mapping[str, Any], inputs: Mapping[str, Any], feeds: Any) -> Any:
    """The model answers as the job does. Returns its meta graph."""
    live = session.run(dict(outputs), {inputs[key]: value for key, value in feeds.items()})
    answers, meta_graph = ask(path, feeds)
    for key, value in live.items():
        np.testing.assert_array_equal(answers[key], value)
    return meta_graph


@FORMS
def test_sparse_outputs(graph: tf.Graph, tmp_path: Path, form: str) -> None:
    x = v1.placeholder(tf.float32, [5, 1, 3], "x")
    logits = tf.tensordot(x, tf.convert_to_tensor(halved("w", [3, 4])), 1)
    (decoded,), _ = tf.nn.ctc_beam_search_decoder(logits, [5], beam_width=4)
    info = v1.saved_model.build_tensor_info
    signature = v1.saved_model.build_signature_def({"x": info(x)}, {"decoded": info(decoded)}, "predict")
    saver = ads.Saver()
    value = np.random.default_rng(0).normal(size=[5, 1, 3]).astype(np.float32)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run(decoded, {x: value})
        path = exported(tmp_path / "model", saver, session, {"serving_default": signature}, form)
    with tf.Graph().as_default(), v1.Session() as session:
        loaded = v1.saved_model.loader.load(session, ["serve"], str(path)).signature_def["serving_default"]
        sparse = loaded.outputs["decoded"].coo_sparse
        names = sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name
        answer = session.run(names, {loaded.inputs["x"].name: value})
    for found, expected in zip(answer, live, strict=True):
        np.testing.assert_array_equal(found, expected)
    with tf.Graph().as_default(), v1.Session() as session:
        function = tf.saved_model.load(str(path), ["serve"]).signatures["serving_default"]
        answered = function(x=tf.constant(value))["decoded"]
        session.run(v1.global_variables_initializer())
        np.testing.assert_array_equal(session.run(answered).values, live.values)


@FORMS
def test_one_tensor_many_names(graph: tf.Graph, tmp_path: Path, form: str) -> None:
    x, state = v1.placeholder(tf.float32, [1, 3], "x"), v1.placeholder(tf.float32, [1, 4], "state")
    new = tf.tanh(state + tf.matmul(x, tf.convert_to_tensor(halved("w", [3, 4]))))
    inputs, outputs = {"x": x, "state": state}, {"old": state, "new": new, "y": new, "same x": x}
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        path = exported(tmp_path / "model", saver, session, signatures(inputs, outputs), form)
        same(path, session, outputs, inputs, {"x": [[1.0, 2.0, 3.0]], "state": [[0.5] * 4]})


@FORMS
def test_zero_debiased_moments(graph: tf.Graph, tmp_path: Path, form: str) -> None:
    from tensorflow.python.training.moving_averages import assign_moving_average

    x = v1.placeholder(tf.float32, [None, 4], "x")
    mean = v1.get_variable("mean", [4], initializer=v1.zeros_initializer(), trainable=False)
    update = assign_moving_average(mean, tf.reduce_mean(x, 0), 0.9, zero_debias=True)
    y = x - mean
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(mean.initializer)
        builder = ads.SavedModelBuilder(tmp_path / "early")
        with pytest.raises(Exception, match="mean/(biased|local_step)"):
            builder.add_meta_graph_and_variables(session, ["serve"], signatures({"x": x}, {"y": y}), saver=saver)
        session.run(v1.global_variables_initializer())
        session.run(update, {x: np.ones([2, 4])})
        path = exported(tmp_path / "model", saver, session, signatures({"x": x}, {"y": y}), form)
        same(path, session, {"y": y}, {"x": x}, {"x": np.ones([1, 4])})
    hidden = {name for name in variables(path) if name.endswith(("biased", "local_step"))}
    assert len(hidden) == (2 if form == "complete" else 0)


@FORMS
def test_shared_columns(graph: tf.Graph, tmp_path: Path, form: str) -> None:
    columns = v1.feature_column
    names = ["first", "second"]
    shared = columns.shared_embedding_columns(
        [columns.categorical_column_with_identity(name, 8) for name in names], dimension=4
    )
    inputs = {name: v1.placeholder(tf.int64, [None, 1], name) for name in names}
    with v1.variable_scope("input", partitioner=v1.fixed_size_partitioner(2)):
        y = columns.input_layer(inputs, shared)
    saver = ads.Saver()
    feeds = {"first": [[1], [7]], "second": [[7], [0]]}
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        live = session.run(y, {inputs[name]: value for name, value in feeds.items()})
        path = exported(tmp_path / "model", saver, session, signatures(inputs, {"y": y}), form)
        same(path, session, {"y": y}, inputs, feeds)
        prefix = saver.save(session, str(tmp_path / "trained"))
    (table,) = [value for value in variables(path).values() if value.shape == (8, 4)]
    np.testing.assert_array_equal(table[[1, 7]], live[:, :4])
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(f"{prefix}.meta").restore(session, prefix)
        session.run(v1.tables_initializer())
        np.testing.assert_array_equal(session.run(y.name, {f"{name}:0": feeds[name] for name in names}), live)


def test_two_synchronous_optimizers(graph: tf.Graph, tmp_path: Path) -> None:
    generator, discriminator = weights("generator"), weights("discriminator")
    first, second = (
        SyncTraining(v1.train.AdamOptimizer(0.1), tf.reduce_sum(tf.gather(one, [0, 2]) ** 2))
        for one in (generator, discriminator)
    )
    with first.session(ads.Saver(), second) as session:
        raw = session.raw_session()
        with first.updating(raw), second.updating(raw):
            session.gate.park(1, PATIENCE_SECS)
            assert session.gate.wait_until_parked(PATIENCE_SECS)
            before = raw.run(discriminator)
            for _ in range(REPLICAS):
                second.hand_in(raw)
            second.wait_for_gradients(raw, at_most=0)
            np.testing.assert_array_equal(raw.run(discriminator), before)
            session.gate.release(1)
        assert (raw.run(discriminator) != before).any()
        with pytest.raises(UsageError, match="gradients and gradients"):
            raw.run([first.update, second.update])


@FORMS
def test_fake_quantization(graph: tf.Graph, tmp_path: Path, form: str) -> None:
    x = v1.placeholder(tf.float32, [None, 3], "x")
    hidden = tf.matmul(x, tf.convert_to_tensor(halved("w", [3, 4])))
    low = v1.get_variable("act_quant/min", initializer=-1.0, trainable=False)
    high = v1.get_variable("act_quant/max", initializer=1.0, trainable=False)
    averages = tf.train.ExponentialMovingAverage(0.9)
    with tf.control_dependencies([low.assign(tf.reduce_min(hidden)), high.assign(tf.reduce_max(hidden))]):
        observe = averages.apply([low, high])
    y = tf.quantization.fake_quant_with_min_max_vars(hidden, averages.average(low), averages.average(high))
    saver = ads.Saver()
    feeds = {"x": np.random.default_rng(0).normal(size=[5, 3])}
    with v1.Session() as session:
        session.run([low.initializer, high.initializer])
        session.run(v1.global_variables_initializer())
        session.run(observe, {x: feeds["x"]})
        path = exported(tmp_path / "model", saver, session, signatures({"x": x}, {"y": y}), form)
        same(path, session, {"y": y}, {"x": x}, feeds)
    ranges = [name for name in variables(path) if "act_quant" in name]
    assert len(ranges) == (4 if form == "complete" else 2)


@pytest.mark.parametrize("parts", [1, 3])
@FORMS
def test_warm_start(tmp_path: Path, form: str, parts: int) -> None:
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, 6], "x")
        y = tf.matmul(x, tf.convert_to_tensor(halved("old/w", [6, 2])))
        saver = ads.Saver()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            live = session.run(y, {x: np.eye(6)})
            path = exported(tmp_path / "model", saver, session, signatures({"x": x}, {"y": y}), form)
    with tf.Graph().as_default():
        w = v1.get_variable("new/w", [6, 2], partitioner=v1.fixed_size_partitioner(parts))
        v1.train.init_from_checkpoint(str(path / "variables" / "variables"), {"old/": "new/"})
        whole = tf.convert_to_tensor(w)
        with ads.create_distributed_session(ads.Cluster.single(), saver=ads.Saver()) as session:
            np.testing.assert_array_equal(session.run(whole), live)


@FORMS
def test_initial_values_from_files(tmp_path: Path, form: str) -> None:
    values = tmp_path / "pretrained"
    values.mkdir()
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", initializer=np.arange(8, dtype=np.float32).reshape(4, 2))
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(values / "model"))
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, 4], "x")
        w = halved("w", [4, 2])
        v1.train.init_from_checkpoint(str(values / "model"), {"w": "w"})
        y = tf.matmul(x, tf.convert_to_tensor(w))
        saver = ads.Saver()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            shutil.rmtree(values)
            path = exported(tmp_path / "model", saver, session, signatures({"x": x}, {"y": y}), form)
            meta_graph = same(path, session, {"y": y}, {"x": x}, {"x": np.eye(4)})
    names_the_file = b"pretrained" in meta_graph.graph_def.SerializeToString()
    assert names_the_file == (form == "complete")
    with tf.Graph().as_default(), v1.Session() as session:
        function = tf.saved_model.load(str(path), ["serve"]).signatures["serving_default"]
        answer = function(x=tf.eye(4))
        session.run(v1.global_variables_initializer())
        np.testing.assert_array_equal(session.run(next(iter(answer.values()))), np.arange(8).reshape(4, 2))


@FORMS
def test_state_between_requests(graph: tf.Graph, tmp_path: Path, form: str) -> None:
    x = v1.placeholder(tf.float32, [1, 3], "x")
    state = v1.get_variable("state", [1, 4], initializer=v1.zeros_initializer(), trainable=False)
    w = tf.convert_to_tensor(halved("w", [3, 4]))
    new = state.assign(tf.tanh(state + tf.matmul(x, w)))
    with tf.control_dependencies([new]):
        y = tf.identity(state.read_value(), name="y")
    saver = ads.Saver()
    value = [[1.0, 2.0, 3.0]]
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run(y, {x: value})
        path = exported(tmp_path / "model", saver, session, signatures({"x": x}, {"y": y}), form)
        second, third = (session.run(y, {x: value}) for _ in range(2))
    for _ in range(2):
        with tf.Graph().as_default(), v1.Session() as session:
            v1.saved_model.loader.load(session, ["serve"], str(path))
            np.testing.assert_array_equal(session.run("y:0", {"x:0": value}), second)
            np.testing.assert_array_equal(session.run("y:0", {"x:0": value}), third)


@FORMS
def test_images_as_strings(graph: tf.Graph, tmp_path: Path, form: str) -> None:
    images = v1.placeholder(tf.string, [None], "images")

    def decode(text: Any) -> Any:
        return tf.image.resize(tf.image.decode_png(tf.io.decode_base64(text), channels=3), [4, 4])

    pixels = tf.map_fn(decode, images, fn_output_signature=tf.float32)
    kernel = tf.reshape(tf.convert_to_tensor(halved("kernel", [18, 2])), [2, 3, 3, 2])
    y = tf.nn.conv2d(pixels / 255.0, kernel, 1, "SAME")
    picture = tf.io.encode_png(tf.constant(np.arange(75, dtype=np.uint8).reshape(5, 5, 3)))
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        text = base64.urlsafe_b64encode(session.run(picture))
        path = exported(tmp_path / "model", saver, session, signatures({"images": images}, {"y": y}), form)
        meta_graph = same(path, session, {"y": y}, {"images": images}, {"images": [text, text]})
    assert variables(path)["kernel"].shape == (18, 2)
    assert {"While", "StatelessWhile"} & set(ops(meta_graph))


def test_every_report_has_its_test() -> None:
    assert {f"test_{name}" for name in REPORTS} <= set(globals())
