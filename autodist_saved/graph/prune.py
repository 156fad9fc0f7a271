"""What some tensors and operations of a graph need, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from tensorflow.core.framework import graph_pb2

from autodist_saved.graph.body import Body, called_functions, node_of


def prune(graph_def: graph_pb2.GraphDef, roots: Iterable[str]) -> None:
    """Leave out all nodes but those that are needed, and what is left in the library without them.

    Args:
        graph_def: edited in place.
        roots: names of the tensors and operations that are needed.
    """
    body = Body(graph_def)
    body.keep(body.behind(map(node_of, roots)))
    prune_library(graph_def)


def prune_library(graph_def: graph_pb2.GraphDef) -> None:
    """Leave out the functions that nobody calls, and all gradients of functions: nobody trains what is served."""
    library = graph_def.library
    functions = {function.signature.name: function for function in library.function}
    called: set[str] = set()
    waiting = list(graph_def.node)
    while waiting:
        node = waiting.pop()
        for name in {node.op, *(function.name for function in called_functions(node))} & functions.keys() - called:
            called.add(name)
            waiting.extend(functions[name].node_def)
    kept = [function for function in library.function if function.signature.name in called]
    library.ClearField("function")
    library.function.extend(kept)
    library.ClearField("gradient")
    library.ClearField("registered_gradients")
