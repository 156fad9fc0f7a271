"""Placeholders that nobody feeds. What needs one cannot be computed, and TensorFlow 2 does not load the model."""

from __future__ import annotations

from collections.abc import Iterator

from autodist_saved.errors import Problem
from autodist_saved.graph.checks.runs import MAIN_OP, Runs, named
from autodist_saved.tf_internals.op_types import PLACEHOLDERS


def placeholder_problems(runs: Runs) -> Iterator[Problem]:
    """Yield one problem for each signature, or main op, that needs placeholders which are not its inputs."""
    if not any(node.op in PLACEHOLDERS for node in runs.body.nodes.values()):
        return
    for place, reached in {**runs.of_users, MAIN_OP: runs.when_loaded}.items():
        if unfed := sorted(node.name for node in runs.nodes(reached) if node.op in PLACEHOLDERS):
            others = "" if place == MAIN_OP else "make them inputs of the signature, or "
            yield Problem(
                place,
                f"it needs placeholders that nobody feeds: {named(unfed)}; tf.saved_model.load refuses such a model",
                f"{others}give them a value with tf.compat.v1.placeholder_with_default",
            )
