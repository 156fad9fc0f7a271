"""Folding a graph: one variable takes the place of all pieces of a partitioned variable.

A node that took a piece takes the whole variable, and then its part of it. What it reads is sliced, and the rows that
it looks up are counted from the first row of the piece. So the result is right whatever a graph does with pieces.

Where a graph puts pieces together again, the result is what a graph without partitions has: their concatenation
becomes one read, and the stitching of ``embedding_lookup`` one lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from autodist_saved.errors import Problem
from autodist_saved.graph.folding.body_fold import BodyFold
from autodist_saved.graph.folding.functions import FoldedFunctions
from autodist_saved.graph.folding.names import as_node_name, new_names, rename_in_function
from autodist_saved.graph.folding.region import Holder, Region
from autodist_saved.graph.graph_def.body import Body, renamed, unused
from autodist_saved.graph.graph_def.prune import prune_library
from autodist_saved.graph.graph_def.reach import all_ops
from autodist_saved.tf_internals.graph_walk import Node


@dataclass(frozen=True)
class Folded:
    """How folding has changed a graph.

    Attributes:
        names: present names of the roots and of renamed nodes, by former names.
        changed: former names of the tensors that now have another value, or none.
        problems: what could not be folded. If there is any, the graph cannot be used.
    """

    names: Mapping[str, str]
    changed: Set[str]
    problems: Sequence[Problem]


def fold(graph_def: graph_pb2.GraphDef, holders: Iterable[Holder], roots: Iterable[str]) -> Folded:
    """Fold all pieces in a graph and in its functions, and remove what nothing needs any more.

    A variable's node gets the variable's name, changed where a node cannot have it.

    Args:
        graph_def: edited in place.
        holders: of variables and pieces. Those that are not in the graph are ignored.
        roots: names of the tensors and operations that are needed.
    """
    body = Body(graph_def)
    held = [holder for holder in holders if holder.node in body.nodes]
    pieces = {holder.node: holder.variable for holder in holders if holder.piece}
    functions = FoldedFunctions(graph_def.library)
    body_fold = BodyFold(body, "", functions.get)
    wholes: dict[str, str] = {}
    others = {_resource(node) for node in body.nodes.values() if node.op == "VarHandleOp" and node.name not in pieces}
    for holder in held:
        if holder.piece is None:
            continue
        node = body.nodes[holder.node]
        whole = wholes.setdefault(holder.variable, node.name)
        body_fold.lift(node.name, holder.piece, is_handle=node.op == "VarHandleOp", instead=whole)
        if whole == node.name:
            _make_whole(node, holder.piece, others)
    body_fold.run()
    settled = {root: body_fold.settled(root) for root in roots}
    body.prune(settled.values(), body_fold.needs)
    prune_library(graph_def)
    for function in graph_def.library.function:
        rename_in_function(function, pieces)
    names = new_names(body.nodes, pieces, {node: as_node_name(variable) for variable, node in wholes.items()})
    body.rename(names)
    names |= {root: renamed(tensor, names) for root, tensor in settled.items()}
    for _, node in all_ops(graph_def):
        node.attr.pop("_output_shapes", None)  # TensorFlow infers them anew, and what is folded has others
    return Folded(names, body_fold.changed, (*body_fold.problems, *functions.problems))


def _make_whole(node: Node, piece: Region, others: Set[str]) -> None:
    """Make a piece's node the whole variable's.

    Args:
        node: edited in place.
        piece: what it held.
        others: resource names of all other variables. Handles with one name share a variable, in the whole process.
    """
    for dimension, extent in zip(node.attr["shape"].shape.dim, piece.whole, strict=True):
        dimension.size = extent
    if node.op == "VarHandleOp":
        node.attr["shared_name"].s = unused(piece.variable, others).encode()
        if "debug_name" in node.attr:
            node.attr["debug_name"].s = piece.variable.encode()


def _resource(handle: Node) -> str:
    """The resource name of a variable: all handles that have it share the variable."""
    return str(tf.compat.as_text(handle.attr["shared_name"].s)) or handle.name
