"""A live graph as TensorFlow exports it, without the ops that we have put into it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.graph_def.body import Body
from autodist_saved.tf_internals.name_scope import own_scopes, users_collections


def export_meta_graph(graph: tf.Graph, **arguments: Any) -> meta_graph_pb2.MetaGraphDef:
    """``tf.compat.v1.train.export_meta_graph`` of a graph as if there were no ops of ours in it.

    Args:
        graph: is only read.
        arguments: TensorFlow's own, but for ``graph`` and ``graph_def``.
    """
    graph_def = graph.as_graph_def(add_shapes=True)
    if scopes := own_scopes(graph):
        body = Body(graph_def)
        # Of ours only update gates are waited for, and there is no cut of one machine.
        body.keep(name for name in body.nodes if not name.startswith(scopes))
    if arguments.get("collection_list") is None:
        arguments["collection_list"] = users_collections(graph)
    return v1.train.export_meta_graph(graph=graph, graph_def=graph_def, **arguments)


def with_saver(meta_graph: meta_graph_pb2.MetaGraphDef, *, strip_default_attrs: bool) -> meta_graph_pb2.MetaGraphDef:
    """The meta graph with ops that save and restore all its global variables, as TensorFlow's builder adds them.

    They are made in a scratch graph, so that the live one may be final. Without variables nothing is added.

    Args:
        meta_graph: of a whole graph, with all its attributes.
        strip_default_attrs: remove attributes that have their default value.
    """
    with tf.Graph().as_default():
        saver = v1.train.import_meta_graph(meta_graph)
        return v1.train.export_meta_graph(
            saver_def=None if saver is None else saver.as_saver_def(), strip_default_attrs=strip_default_attrs
        )
