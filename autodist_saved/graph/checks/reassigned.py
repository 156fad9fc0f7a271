"""A main op that initializes restored variables. Loaders run it after they restore, so trained values are lost."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow.compat.v1 as v1
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import Problem
from autodist_saved.graph.checks.runs import MAIN_OP, Runs, named
from autodist_saved.graph.graph_def.assigned import assigned
from autodist_saved.tf_internals.graph_walk import node_of


def reassigned_problems(runs: Runs) -> Iterator[Problem]:
    """Yield a problem where the main op initializes restored variables, and does not restore them itself.

    Assigning anything else is no problem: the user may want it.
    """
    body, loading = runs.body, {node.name for node in runs.nodes(runs.when_loaded)}
    initialized = assigned(body, loading & set(_initializers(runs.meta_graph)))
    if not initialized or any(body.nodes[name].op == "RestoreV2" for name in loading):
        return
    if lost := sorted(initialized & assigned(body, body.behind([runs.meta_graph.saver_def.restore_op_name]))):
        yield Problem(
            MAIN_OP,
            f"it initializes {named(lost)} after they were restored, so trained values are lost",
            "leave variables' initializers out of it; those of tables and of local variables may stay",
        )


def _initializers(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    for serialized in meta_graph.collection_def[v1.GraphKeys.GLOBAL_VARIABLES].bytes_list.value:
        yield node_of(variable_pb2.VariableDef.FromString(serialized).initializer_name)
