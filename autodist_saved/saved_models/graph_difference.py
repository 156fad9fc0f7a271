"""Compares two graphs: their signatures, ops, functions and collections."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from autodist_saved.graph.stored.meta_graph import MetaGraph
from autodist_saved.graph.stored.saved_model_pb2 import FunctionDef, NameAttrList, NodeDef
from autodist_saved.saved_models.changes import Changes

_NUMBER = re.compile(r"_\d+$")


@dataclass(frozen=True)
class GraphDifference:
    """The differences between two graphs A and B with the same tags. Its truth value is false if there are none.

    Attributes:
        tags: of both graphs, sorted.
        signatures: keys of signatures; changed if inputs, outputs or the method differ.
        ops: names of ops outside functions; changed if type, inputs, attributes or device differ.
        functions: names of functions without the number at their end, which differs from process to process; changed
            if the bodies of the functions with this name differ.
        collections: keys of collections; changed if the values differ.
        op_types: types of ops with different numbers of ops in A and in B, and both numbers. Ops in functions count.
    """

    tags: tuple[str, ...]
    signatures: Changes
    ops: Changes
    functions: Changes
    collections: Changes
    op_types: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.signatures or self.ops or self.functions or self.collections or self.op_types)


def compare_graphs(a: MetaGraph, b: MetaGraph) -> GraphDifference:
    """Compare two graphs that have the same tags."""
    counts = {kind: (a.op_types[kind], b.op_types[kind]) for kind in sorted(a.op_types.keys() | b.op_types.keys())}
    return GraphDifference(
        a.tags,
        Changes.between(a.signatures, b.signatures),
        Changes.between(_ops(a), _ops(b)),
        Changes.between(_functions(a), _functions(b)),
        Changes.between(_collections(a), _collections(b)),
        {kind: (in_a, in_b) for kind, (in_a, in_b) in counts.items() if in_a != in_b},
    )


def _ops(graph: MetaGraph) -> dict[str, bytes]:
    return {node.name: _node(node) for node in graph.proto.graph_def.node}


def _functions(graph: MetaGraph) -> dict[str, Counter[bytes]]:
    bodies: dict[str, Counter[bytes]] = {}
    for function in graph.proto.graph_def.library.function:
        bodies.setdefault(_unnumbered(function.signature.name), Counter())[_function(function)] += 1
    return bodies


def _collections(graph: MetaGraph) -> dict[str, bytes]:
    return {
        key: collection.SerializeToString(deterministic=True)
        for key, collection in graph.proto.collection_def.items()
    }


def _node(node: NodeDef) -> bytes:
    plain = NodeDef()
    plain.CopyFrom(node)
    for name in _function_names(plain):
        name.name = _unnumbered(name.name)
    return plain.SerializeToString(deterministic=True)


def _function(function: FunctionDef) -> bytes:
    plain = FunctionDef()
    plain.CopyFrom(function)
    plain.signature.name = _unnumbered(plain.signature.name)
    plain.ClearField("arg_attr")  # names of the arguments in the program, or numbers instead
    for node in plain.node_def:
        for name in _function_names(node):
            name.name = _unnumbered(name.name)
    return plain.SerializeToString(deterministic=True)


def _function_names(node: NodeDef) -> Iterator[NameAttrList]:
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func
        yield from value.list.func


def _unnumbered(name: str) -> str:
    return _NUMBER.sub("", name)
