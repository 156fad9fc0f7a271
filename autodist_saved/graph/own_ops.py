"""Exports a live graph without the ops that this package has put into it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.graph_def.body import Body
from autodist_saved.tf_internals.name_scope import own_scopes, users_collections


def export_meta_graph(graph: tf.Graph, **arguments: Any) -> meta_graph_pb2.MetaGraphDef:
    """Export a graph as ``tf.compat.v1.train.export_meta_graph`` does, without our ops and their collection.

    Args:
        graph: it is only read.
        arguments: TensorFlow's, without ``graph`` and ``graph_def``.
    """
    graph_def = graph.as_graph_def(add_shapes=True)
    if scopes := own_scopes(graph):
        body = Body(graph_def)
        # The user's ops wait for no ops of ours but gates of synchronous training. A model on one machine has none.
        body.keep(name for name in body.nodes if not name.startswith(scopes))
    if arguments.get("collection_list") is None:
        arguments["collection_list"] = users_collections(graph)
    return v1.train.export_meta_graph(graph=graph, graph_def=graph_def, **arguments)


def with_saver(meta_graph: meta_graph_pb2.MetaGraphDef, *, strip_default_attrs: bool) -> meta_graph_pb2.MetaGraphDef:
    """Add ops that save and restore all global variables of a meta graph, as TensorFlow's builder adds them.

    They are made in a scratch graph, because the live graph may be final. Without variables nothing is added.

    Args:
        meta_graph: a whole graph, with all its attributes.
        strip_default_attrs: remove attributes that have their default value.

    Returns:
        a new meta graph.
    """
    with tf.Graph().as_default():
        saver = v1.train.import_meta_graph(meta_graph)
        return v1.train.export_meta_graph(
            saver_def=None if saver is None else saver.as_saver_def(), strip_default_attrs=strip_default_attrs
        )
