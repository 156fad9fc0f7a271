"""Requests for meta graphs in which nothing but what a test is about is out of the ordinary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from autodist_saved.graph.meta_graph_builder import GraphDescription
from autodist_saved.graph.request import MetaGraphRequest
from autodist_saved.pipeline.request_from_arguments import MetaGraphArguments, request_from_arguments

Told = Callable[..., str]
"""Returns what is said of a signature: of its inputs, its output, and other arguments of a request."""


def request(graph: tf.Graph | None = None, **arguments: Any) -> MetaGraphRequest:
    """A request for a graph, an empty one by default."""
    return MetaGraphRequest(**{"graph": graph or tf.Graph(), "saver": None, "tags": ["serve"], **arguments})


def description(graph: tf.Graph | None = None, **arguments: Any) -> GraphDescription:
    """The description of a graph, an empty one by default, made of arguments as a builder takes them."""
    given = MetaGraphArguments(**{"tags": ["serve"], **arguments})
    return GraphDescription(request_from_arguments(graph or tf.Graph(), None, None, given))
