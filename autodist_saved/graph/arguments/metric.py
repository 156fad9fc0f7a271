"""Metrics: whether the tensor of one will be a number. That can be known before the job trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from autodist_saved.errors import Problem
from autodist_saved.tf_internals.graph_walk import placeholders_behind


def metric_problems(name: str, value: Any, graph: tf.Graph) -> Iterator[Problem]:
    """Yield why a metric's tensor is no number, or cannot be computed. A function is not called.

    Args:
        name: the metric's.
        value: a tensor, or whatever ``Session.run`` takes for one, or a function.
        graph: the job's; it is only read.
    """
    place = f"the metric {name!r}"
    if callable(value):
        return
    try:
        tensor = graph.as_graph_element(value, allow_operation=False)
    except (KeyError, TypeError, ValueError) as error:
        yield Problem(
            place, f"its value is not a tensor of the job's graph ({error.args[0]})", "give BestBy a tensor of it"
        )
        return
    if not (tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_bool):
        yield Problem(place, f"its value is {tensor.dtype.name}, which is not a number", "give BestBy a number")
    if tensor.shape.rank:
        yield Problem(place, f"its value has the shape {tensor.shape}", "give BestBy a scalar, such as its mean")
    if unfed := [placeholder.name for placeholder in placeholders_behind(tensor.op)]:
        yield Problem(
            place,
            f"it needs placeholders that nobody feeds: {', '.join(unfed)}",
            "give BestBy a function of the session instead, which runs the tensor and feeds the placeholders",
        )
