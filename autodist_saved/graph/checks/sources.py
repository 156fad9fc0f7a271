"""Iterators and queues without elements: the training fills them, and is not part of the model."""

from __future__ import annotations

from collections.abc import Iterator, Set

from autodist_saved.errors import Problem
from autodist_saved.graph.checks.runs import Runs, named
from autodist_saved.graph.graph_def.reach import Spot
from autodist_saved.tf_internals.op_types import DEQUEUES, ENQUEUES, INITIALIZED_ITERATORS, ITERATOR_INITIALIZERS


def source_problems(runs: Runs) -> Iterator[Problem]:
    """Yield one problem for each signature that takes elements of iterators, or of queues, which nobody fills.

    There is none in a graph with the tag for training: who trains fills them.
    """
    types = {node.op for node in runs.body.nodes.values()}
    if runs.are_for_training or types.isdisjoint(INITIALIZED_ITERATORS | DEQUEUES):
        return
    run = runs.when_loaded.union(*runs.of_users.values())
    filled = _inputs(runs, run, ENQUEUES)
    ready = _inputs(runs, run, ITERATOR_INITIALIZERS, 1) | {spot.op for spot in runs.when_loaded}
    for place, reached in runs.of_users.items():
        iterators = {node.name for node in runs.nodes(reached) if node.op in INITIALIZED_ITERATORS}
        if empty := sorted(iterators - ready):
            yield Problem(
                place,
                f"it takes the next element of an iterator that nobody initializes: {named(empty)}",
                "make the elements its inputs; or have the main op initialize the iterator",
            )
        if queues := sorted(_inputs(runs, reached, DEQUEUES) - filled):
            yield Problem(
                place,
                f"it waits for ever for an element of a queue that nobody fills: {named(queues)}",
                "make the elements its inputs",
            )


def _inputs(runs: Runs, reached: set[Spot], types: Set[str], number: int = 0) -> set[str]:
    """Names of the queues, or iterators, that ops of these types work on."""
    tensors = (node.input[number] for node in runs.nodes(reached) if node.op in types)
    origins = (runs.body.origin(tensor)[0] for tensor in tensors)
    return {resource.name for resource in origins if resource is not None}
