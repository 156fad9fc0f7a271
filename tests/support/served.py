"""Serving graphs for tests: exported from one process, and asked with plain TensorFlow."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads

TAGS = ["serve"]


def signatures(inputs: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor]) -> dict[str, Any]:
    return {"serving_default": v1.saved_model.predict_signature_def(dict(inputs), dict(outputs))}


def export(session: v1.Session, path: Path, saver: ads.Saver, signature_map: Any, **arguments: Any) -> str:
    """Export a serving graph and its variables. Returns the directory."""
    builder = ads.SavedModelBuilder(path)
    builder.add_meta_graph_and_variables(session, TAGS, signature_map, saver=saver, serving=True, **arguments)
    builder.save()
    return str(path)


def ask(path: Any, feeds: Mapping[str, Any], tags: list[str] = TAGS) -> tuple[dict[str, Any], Any]:
    """What the model answers by name, and its ``MetaGraphDef`` as it was loaded."""
    with tf.Graph().as_default(), v1.Session() as session:
        meta_graph = v1.saved_model.loader.load(session, tags, str(path))
        signature = meta_graph.signature_def["serving_default"]
        fetches = {key: info.name for key, info in signature.outputs.items()}
        return session.run(fetches, {signature.inputs[key].name: feed for key, feed in feeds.items()}), meta_graph


def ops(meta_graph: Any) -> list[str]:
    """Types of all ops, those of functions too."""
    graph_def = meta_graph.graph_def
    functions = [node for function in graph_def.library.function for node in function.node_def]
    return sorted(node.op for node in (*graph_def.node, *functions))


def variables(path: Any) -> dict[str, np.ndarray]:
    """The values in ``variables/`` by key."""
    reader = tf.train.load_checkpoint(f"{path}/variables/variables")
    return {key: reader.get_tensor(key) for key in reader.get_variable_to_shape_map()}


def grid(name: str, array: np.ndarray, rows: list[int], columns: list[int], **arguments: Any) -> list[list[Any]]:
    """A table that is cut at these rows and columns; lists of its pieces from left to right."""
    pieces = []
    tops, lefts = [0, *rows, array.shape[0]], [0, *columns, array.shape[1]]
    for top, bottom in itertools.pairwise(tops):
        pieces.append([])
        for left, right in itertools.pairwise(lefts):
            value = array[top:bottom, left:right]
            piece = v1.get_variable(f"{name}/piece_{top}_{left}", initializer=value, **arguments)
            info = tf.Variable.SaveSliceInfo(name, list(array.shape), [top, left], list(value.shape))
            piece._set_save_slice_info(info)
            pieces[-1].append(piece)
    return pieces
