"""Placeholders that nobody feeds: what needs one cannot be computed, and TensorFlow 2 does not load the model."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import Problem
from autodist_saved.graph.checks.runs import MAIN_OP, named, run_when_loaded, runs_of_users
from autodist_saved.graph.reach import Spot

_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2"})


def placeholder_problems(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Problem]:
    """One problem for each signature, or main op, that needs placeholders which are none of its inputs."""
    placeholders = {Spot(node.name) for node in meta_graph.graph_def.node if node.op in _PLACEHOLDERS}
    if not placeholders:
        return
    for place, reached in {**runs_of_users(meta_graph), MAIN_OP: run_when_loaded(meta_graph)}.items():
        if unfed := sorted(spot.op for spot in reached & placeholders):
            others = "" if place == MAIN_OP else "make them inputs of the signature, or "
            yield Problem(
                place,
                f"it needs placeholders that nobody feeds: {named(unfed)}; tf.saved_model.load refuses such a model",
                f"{others}give them a value with tf.compat.v1.placeholder_with_default",
            )
