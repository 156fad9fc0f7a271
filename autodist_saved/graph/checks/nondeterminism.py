"""Signatures whose answers may differ between two calls, although variables and inputs are the same."""

from __future__ import annotations

from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.checks.runs import Runs, first_of
from autodist_saved.graph.graph_def.assigned import assigned
from autodist_saved.graph.graph_def.reach import all_ops
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import functions_of
from autodist_saved.tf_internals.op_types import (
    BRANCHES,
    CALLS,
    LOOPS,
    PRINTS,
    TABLE_READS,
    TABLES,
    TENSOR_ARRAY_OPS,
    UPDATES,
    VARIABLE_READS,
    VARIABLES,
)

# TensorFlow calls them stateful, but with the same variables, tables and inputs they give the same. The ops inside a
# function say what the function does.
_STEADY = (
    *(VARIABLES | VARIABLE_READS | TABLES | TABLE_READS | TENSOR_ARRAY_OPS),
    *(PRINTS | {"Assert"} | CALLS | LOOPS | BRANCHES),
)


def nondeterministic_signatures(meta_graph: meta_graph_pb2.MetaGraphDef) -> dict[str, str]:
    """Find the signatures whose answers in the job and in the model cannot be compared.

    Such answers depend on more than inputs, variables and tables: on random numbers, queues or data sets. Or the main
    op gives a variable another value than it has in training.

    Returns:
        the reason, by the signature's name. Signatures that can be compared are not in it.
    """
    runs, steady = Runs(meta_graph), {*_STEADY, *functions_of(meta_graph.graph_def.library)}
    unsteady = {
        spot: node.op
        for spot, node in all_ops(meta_graph.graph_def)
        if node.op not in steady and private_api.is_stateful(node.op)
    }
    changed = assigned(runs.body, (node.name for node in runs.nodes(runs.when_loaded)), UPDATES)
    found = {}
    for key in runs.user_keys:
        reached = runs.of_signature(key)
        if ops := sorted(f"{spot} ({op})" for spot, op in unsteady.items() if spot in reached):
            found[key] = f"its answers depend on more than inputs and variables: on {first_of(ops)}"
        elif variables := sorted(repr(node.name) for node in runs.nodes(reached) if node.name in changed):
            found[key] = f"the main op gives a value to {first_of(variables)}, which it reads"
    return found
