"""One small SavedModel of each kind that there is: ``y = x w``, with ``w`` all ones, and mostly a file of words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.graph.meta_graph_builder import GraphDescription
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.export import Export
from autodist_saved.publish.disk.target import LocalTarget
from autodist_saved.testing import ArraySource, RecordingCut
from tests.support.meta_graphs import request


def write_ours(place: Path, w: float = 1.0, words: str = "a\nb\n", **arrays: np.ndarray) -> Path:
    """Exported by this package, with the restore op of a stock saver."""
    with tf.Graph().as_default() as graph:
        signatures = _v1_graph()
        saver = v1.train.Saver()
        assets = [tf.constant(str(_words_beside(place, words)))]
        described = GraphDescription(request(graph, saver=saver, signatures=signatures, assets_collection=assets))
    values = {"w": np.full([2, 1], w, np.float32), **arrays}
    export = Export("chief:0", LocalTarget(place), ExportOptions())
    export.capture(described, ArraySource(values, parts=2, global_step=7), RecordingCut())
    export.publish()
    return place


def write_ours_like_autodist(place: Path) -> Path:
    """By our builder, as AutoDist's users call theirs: with the saver and the train op, and all by position."""
    with tf.Graph().as_default():
        signatures = _v1_graph()
        (w,) = v1.global_variables()
        train_op = w.assign_add(tf.ones([2, 1]))
        assets = [tf.constant(str(_words_beside(place)))]
        saver = ads.Saver()
        with ads.create_distributed_session(ads.Cluster.single(), saver=saver) as session:
            builder = ads.SavedModelBuilder(place)
            builder.add_meta_graph_and_variables(
                session, ["serve"], signatures, assets, None, True, None, False, saver, train_op
            )
            builder.save()
    return place


def write_v1(place: Path, *, train_op: bool = False, as_text: bool = False) -> Path:
    """By ``tf.compat.v1.saved_model.Builder``."""
    with tf.Graph().as_default(), v1.Session() as session:
        signatures = _v1_graph()
        if train_op:
            w = v1.global_variables()[0]
            v1.add_to_collection("saved_model_train_op", v1.assign_add(w, tf.ones([2, 1])).op)
        assets = [tf.constant(str(_words_beside(place)))]
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(place))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures, assets_collection=assets)
        builder.save(as_text)
    return place


def write_autodist_style(place: Path) -> Path:
    """With the train op in the collection from which AutoDist's users take it."""
    return write_v1(place, train_op=True)


def write_v2(place: Path) -> Path:
    """By ``tf.saved_model.save``."""

    class Model(tf.Module):
        def __init__(self) -> None:
            self.w = tf.Variable(tf.ones([2, 1]))
            self.words = tf.saved_model.Asset(str(_words_beside(place)))

        @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
        def __call__(self, x: tf.Tensor) -> tf.Tensor:
            return x @ self.w

    model = Model()
    tf.saved_model.save(model, str(place), signatures=model.__call__)
    return place


def write_keras_3(place: Path) -> Path:
    """By ``model.export`` of Keras 3."""
    import keras

    keras.Sequential([keras.Input([2]), keras.layers.Dense(1)]).export(str(place), verbose=False)
    return place


KINDS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "ours": (write_ours, "autodist_saved"),
    "ours, called as AutoDist's": (write_ours_like_autodist, "autodist_saved"),
    "AutoDist's": (write_autodist_style, "AutoDist, or another builder that keeps the train op"),
    "TensorFlow's v1": (write_v1, "tf.compat.v1.saved_model.Builder"),
    "TensorFlow's v2": (write_v2, "tf.saved_model.save"),
    "Keras 3's": (write_keras_3, "Keras 3"),
}
"""A function that writes a model of each kind, and who inspect says has written it."""


def _v1_graph() -> dict[str, v1.MetaGraphDef]:
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    w = v1.get_variable("w", [2, 1], initializer=v1.ones_initializer())
    return {"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": tf.matmul(x, w)})}


def _words_beside(place: Path, words: str = "a\nb\n") -> Path:
    folder = place.parent / f"{place.name}-words"
    folder.mkdir(exist_ok=True)
    (folder / "words.txt").write_text(words)
    return folder / "words.txt"
