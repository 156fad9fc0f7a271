"""Iterators and queues that have nothing to give: what fills them is the training, and no part of the model."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import Problem
from autodist_saved.graph.body import Body
from autodist_saved.graph.checks.runs import named, run_when_loaded, runs_of_users
from autodist_saved.graph.reach import Spot

# An iterator that initializes itself (OneShotIterator) is none of these.
_ITERATORS = frozenset({"Iterator", "IteratorV2", "MultiDeviceIterator"})
_INITIALIZER = "MakeIterator"
_DEQUEUE = "QueueDequeue"
_ENQUEUE = "QueueEnqueue"


def source_problems(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Problem]:
    """One problem for each signature that takes of iterators, or of queues, which are empty when it is asked.

    A graph that is tagged for training may, and is passed over: who trains starts them.
    """
    if v1.saved_model.tag_constants.TRAINING in meta_graph.meta_info_def.tags:
        return
    body = Body(meta_graph.graph_def)
    iterators = {node.name for node in body.nodes.values() if node.op in _ITERATORS}
    if not iterators and not any(node.op.startswith(_DEQUEUE) for node in body.nodes.values()):
        return
    runs, loaded = runs_of_users(meta_graph), run_when_loaded(meta_graph)
    run = loaded.union(*runs.values())
    filled = _inputs(body, run, _ENQUEUE)
    ready = _inputs(body, run, _INITIALIZER, 1) | {spot.op for spot in loaded}
    for place, reached in runs.items():
        if empty := sorted({spot.op for spot in reached if not spot.function} & iterators - ready):
            yield Problem(
                place,
                f"it takes the next element of an iterator that nobody initializes: {named(empty)}",
                "make the elements its inputs; or have the main op initialize the iterator",
            )
        if queues := sorted(_inputs(body, reached, _DEQUEUE) - filled):
            yield Problem(
                place,
                f"it waits for ever for an element of a queue that nobody fills: {named(queues)}",
                "make the elements its inputs",
            )


def _inputs(body: Body, reached: set[Spot], op_type: str, number: int = 0) -> set[str]:
    """Names of the queues, or iterators, that ops work on whose types begin so."""
    nodes = (body.nodes[spot.op] for spot in reached if not spot.function)
    resources = (body.origin(node.input[number]) for node in nodes if node.op.startswith(op_type))
    return {resource.name for resource in resources if resource is not None}
