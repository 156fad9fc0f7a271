"""A main op that initializes what was restored: it runs after the values are read, and overwrites them."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow.compat.v1 as v1
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import Problem
from autodist_saved.graph.assigned import assigned
from autodist_saved.graph.body import Body, node_of
from autodist_saved.graph.checks.runs import MAIN_OP, named
from autodist_saved.graph.tables import collected_main_ops


def reassigned_problems(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Problem]:
    """A problem where the main op runs the initializers of variables that are restored, and does not restore itself.

    Assigning them anything else is taken to be wanted.

    Args:
        meta_graph: with its saver.
    """
    body = Body(meta_graph.graph_def)
    loading = body.behind(map(node_of, collected_main_ops(meta_graph)))
    initialized = assigned(body, loading & set(_initializers(meta_graph)))
    if not initialized or any(body.nodes[name].op == "RestoreV2" for name in loading):
        return
    if lost := sorted(initialized & assigned(body, body.behind([meta_graph.saver_def.restore_op_name]))):
        yield Problem(
            MAIN_OP,
            f"it initializes {named(lost)} after they were restored, so trained values are lost",
            "leave variables' initializers out of it; those of tables and of local variables may stay",
        )


def _initializers(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    for serialized in meta_graph.collection_def[v1.GraphKeys.GLOBAL_VARIABLES].bytes_list.value:
        yield node_of(variable_pb2.VariableDef.FromString(serialized).initializer_name)
