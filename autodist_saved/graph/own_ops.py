"""A live graph as TensorFlow exports it, without the ops that we have put into it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2


def export_meta_graph(graph: tf.Graph, own_scopes_collection: str, **arguments: Any) -> meta_graph_pb2.MetaGraphDef:
    """``tf.compat.v1.train.export_meta_graph`` of a graph as if there were no ops of ours in it.

    Args:
        graph: is only read.
        own_scopes_collection: the graph collection that names the scopes of ops that are no part of the model.
        arguments: TensorFlow's own, but for ``graph`` and ``graph_def``.
    """
    graph_def = graph.as_graph_def(add_shapes=True)
    _drop_scopes(graph_def, tuple(map(tf.compat.as_str, graph.get_collection(own_scopes_collection))))
    if arguments.get("collection_list") is None:
        arguments["collection_list"] = [
            key for key in graph.get_all_collection_keys() if key != own_scopes_collection
        ]
    return v1.train.export_meta_graph(graph=graph, graph_def=graph_def, **arguments)


def _drop_scopes(graph_def: graph_pb2.GraphDef, scopes: tuple[str, ...]) -> None:
    if not scopes:
        return
    kept = [node for node in graph_def.node if not node.name.startswith(scopes)]
    for node in kept:
        others = [name for name in node.input if not name.removeprefix("^").startswith(scopes)]
        if len(others) < len(node.input):  # only update gates are waited for, and there is no cut of one machine
            node.input[:] = others
    del graph_def.node[:]
    graph_def.node.extend(kept)
