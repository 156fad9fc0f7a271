"""Iterators and queues that have nothing to give: what fills them is the training, and no part of the model."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import Problem
from autodist_saved.graph.body import Body
from autodist_saved.graph.checks.runs import Runs, named, run_when_loaded, runs_of_users
from autodist_saved.graph.reach import Spot

# An iterator that initializes itself (OneShotIterator) is none of these.
_ITERATORS = frozenset({"Iterator", "IteratorV2", "MultiDeviceIterator"})
_DEQUEUES = ("QueueDequeue", "ReaderRead")
_ENQUEUES = "QueueEnqueue"


def source_problems(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Problem]:
    """One problem for each signature that takes of iterators, or of queues, which are empty when it is asked.

    A graph that is tagged for training may, and is passed over: who trains starts them.
    """
    if v1.saved_model.tag_constants.TRAINING in meta_graph.meta_info_def.tags:
        return
    body = Body(meta_graph.graph_def)
    taken = {Spot(node.name) for node in body.nodes.values() if node.op in _ITERATORS or node.op.startswith(_DEQUEUES)}
    if not taken:
        return
    runs, loaded = runs_of_users(meta_graph), run_when_loaded(meta_graph)
    for place, reached in runs.items():
        if iterators := sorted(spot.op for spot in (reached & taken) - loaded if body.nodes[spot.op].op in _ITERATORS):
            yield Problem(
                place,
                f"it takes the next element of an iterator that nobody initializes: {named(iterators)}",
                "make the elements its inputs; or have the main op initialize the iterator",
            )
        if queues := sorted(_dequeued(body, reached) - _enqueued(body, runs, loaded)):
            yield Problem(
                place,
                f"it waits for ever for an element of a queue that nobody fills: {named(queues)}",
                "make the elements its inputs",
            )


def _dequeued(body: Body, reached: set[Spot]) -> set[str]:
    return _queues(body, reached, _DEQUEUES)


def _enqueued(body: Body, runs: Runs, loaded: set[Spot]) -> set[str]:
    return _queues(body, loaded.union(*runs.values()), (_ENQUEUES,))


def _queues(body: Body, reached: set[Spot], op_types: tuple[str, ...]) -> set[str]:
    """Names of the queues that ops of these types work on. A reader takes of its second input."""
    found = set()
    for spot in reached:
        node = None if spot.function else body.nodes[spot.op]
        if node is not None and node.op.startswith(op_types):
            queue = body.origin(node.input[node.op.startswith("ReaderRead")])
            found |= set() if queue is None else {queue.name}
    return found
