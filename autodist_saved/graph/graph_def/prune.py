"""Pruning: a graph keeps what some tensors and operations need, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from tensorflow.core.framework import graph_pb2

from autodist_saved.graph.graph_def.body import Body
from autodist_saved.tf_internals.graph_walk import functions_called, functions_of


def prune(graph_def: graph_pb2.GraphDef, roots: Iterable[str]) -> None:
    """Remove the nodes that are not needed, and then the functions that nobody calls.

    Args:
        graph_def: edited in place.
        roots: names of the tensors and operations that are needed.
    """
    Body(graph_def).prune(roots)
    prune_library(graph_def)


def prune_library(graph_def: graph_pb2.GraphDef) -> None:
    """Remove the functions that nobody calls, and all gradients of functions: nobody trains what is served."""
    library = graph_def.library
    called = {function.signature.name for function in functions_called(graph_def.node, functions_of(library))}
    kept = [function for function in library.function if function.signature.name in called]
    library.ClearField("function")
    library.function.extend(kept)
    library.ClearField("gradient")
    library.ClearField("registered_gradients")
