"""What a run reaches: the ops before its outputs, back to its inputs, and the ops of the functions they call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.graph_def.body import Body
from autodist_saved.graph.graph_def.signature_defs import names_in
from autodist_saved.tf_internals.graph_walk import Node, functions_called, functions_of


class Spot(NamedTuple):
    """Where an op is: its name, and the function of the library that it is in; empty for the graph itself."""

    op: str
    function: str = ""

    def __str__(self) -> str:
        return f"{self.op!r} of function {self.function!r}" if self.function else repr(self.op)


def all_ops(graph_def: graph_pb2.GraphDef) -> Iterator[tuple[Spot, Node]]:
    """Yield the ops of a graph and of all functions in its library."""
    for node in graph_def.node:
        yield Spot(node.name), node
    for function in graph_def.library.function:
        for node in function.node_def:
            yield Spot(node.name, function.signature.name), node


class Reach:
    """What signatures and ops of one graph reach.

    Attributes:
        body: the nodes of the graph.
    """

    def __init__(self, graph_def: graph_pb2.GraphDef) -> None:
        self.body = Body(graph_def)
        self._functions = functions_of(graph_def.library)

    def of_signature(self, signature: meta_graph_pb2.SignatureDef) -> set[Spot]:
        """The ops that computing the outputs takes when the inputs are fed."""
        return self.of(names_in(signature.outputs), fed=names_in(signature.inputs))

    def of(self, names: Iterable[str], fed: Iterable[str] = ()) -> set[Spot]:
        """The ops that computing tensors, or running ops, takes. ``fed``: names of tensors that are known."""
        known = {_tensor(name) for name in fed}

        def is_unknown(name: str) -> bool:
            return _tensor(name) not in known

        reached = self.body.behind(filter(is_unknown, names), is_unknown if known else None)
        called = functions_called((self.body.nodes[name] for name in reached), self._functions)
        inside = {Spot(node.name, function.signature.name) for function in called for node in function.node_def}
        return inside.union(map(Spot, reached))


def _tensor(name: str) -> str:
    """The name of a tensor, as signatures write it, from an input of a node or the name of an op."""
    name = name.removeprefix("^")
    return name if ":" in name else f"{name}:0"
