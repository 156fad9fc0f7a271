"""Requests for meta graphs in which nothing but what a test is about is out of the ordinary."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from autodist_saved.graph.request import MetaGraphRequest


def request(graph: tf.Graph | None = None, **arguments: Any) -> MetaGraphRequest:
    """A request for a graph, an empty one by default."""
    return MetaGraphRequest(**{"graph": graph or tf.Graph(), "saver": None, "tags": ["serve"], **arguments})
