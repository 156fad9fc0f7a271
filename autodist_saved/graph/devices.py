"""Devices of the training cluster have no place in a model of one machine."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow.core.framework import graph_pb2, node_def_pb2

_COLOCATION = b"loc:@"


def clear_devices(graph_def: graph_pb2.GraphDef) -> None:
    """Remove every device from a graph and its functions, and colocation with nodes that are not in it."""
    for node in _all_nodes(graph_def):
        node.device = ""
    names = {node.name.encode() for node in graph_def.node}
    for node in graph_def.node:
        if "_class" not in node.attr:
            continue
        groups = node.attr["_class"].list.s
        kept = [group for group in groups if not group.startswith(_COLOCATION) or group[len(_COLOCATION) :] in names]
        if len(kept) < len(groups):
            del groups[:]
            groups.extend(kept)
            if not kept:
                del node.attr["_class"]


def _all_nodes(graph_def: graph_pb2.GraphDef) -> Iterator[node_def_pb2.NodeDef]:
    """The graph's nodes and those of the functions in its library."""
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def
