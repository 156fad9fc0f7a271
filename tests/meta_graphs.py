"""Requests for meta graphs in which nothing but what a test is about is out of the ordinary."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from autodist_saved.graph.request import MetaGraphRequest, make_request


def request(graph: tf.Graph | None = None, **arguments: Any) -> MetaGraphRequest:
    """A request for a graph, an empty one by default."""
    ordinary: dict[str, Any] = {
        "tags": ["serve"],
        "signature_def_map": None,
        "assets": None,
        "main_op": None,
        "train_op": None,
        "clear_devices": True,
        "strip_default_attrs": False,
    }
    saver = arguments.pop("saver", None)
    return make_request(graph or tf.Graph(), saver, **{**ordinary, **arguments})
