"""Which signatures may answer otherwise on another machine, or the next time, although all variables are the same."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.body import node_of
from autodist_saved.graph.reach import Reach, Spot, all_ops, is_for_users
from autodist_saved.graph.tables import collected_main_ops
from autodist_saved.graph.variable_defs import VARIABLES
from autodist_saved.tf_internals import private_api

# Types of ops that TensorFlow calls stateful, and that give the same whenever variables and inputs are the same.
_STEADY = VARIABLES | {
    *("ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp"),
    *("IsVariableInitialized", "HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2"),
    *("MutableHashTableOfTensors", "MutableHashTableOfTensorsV2", "MutableDenseHashTable"),
    *("MutableDenseHashTableV2", "LookupTableFind", "LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2"),
    *("LookupTableExport", "LookupTableExportV2", "Assert", "Print", "PrintV2"),
    *("StatefulPartitionedCall", "If", "While", "Case"),
}
_OF_ONE_RUN = "TensorArray"
_SHOWN = 3


def doubts(meta_graph: meta_graph_pb2.MetaGraphDef) -> dict[str, str]:
    """Why a signature's answers cannot be compared, by its name; only for those of which that is so.

    They depend on more than inputs, variables and tables: on random numbers, queues or data sets; or the main op
    gives a variable another value than it has in training.
    """
    reach = Reach(meta_graph.graph_def)
    called = {function.signature.name for function in meta_graph.graph_def.library.function}
    unsteady = {spot: node.op for spot, node in all_ops(meta_graph.graph_def) if _is_unsteady(node.op, called)}
    assigned = set(_assigned(meta_graph, reach))
    found = {}
    for key in filter(is_for_users, meta_graph.signature_def):
        reached = reach.of_signature(meta_graph.signature_def[key])
        if ops := sorted(f"{spot} ({op})" for spot, op in unsteady.items() if spot in reached):
            more = f" and {len(ops) - _SHOWN} more" if len(ops) > _SHOWN else ""
            found[key] = f"its answers depend on more than inputs and variables: on {', '.join(ops[:_SHOWN])}{more}"
        elif variables := sorted(map(str, assigned & reached)):
            found[key] = f"the main op gives a value to {', '.join(variables[:_SHOWN])}, which it reads"
    return found


def _is_unsteady(op_type: str, called: set[str]) -> bool:
    return (
        op_type not in _STEADY
        and not op_type.startswith(_OF_ONE_RUN)
        and op_type not in called
        and private_api.is_stateful(op_type)
    )


def _assigned(meta_graph: meta_graph_pb2.MetaGraphDef, reach: Reach) -> Iterator[Spot]:
    """The variables that the main op assigns."""
    nodes: dict[str, node_def_pb2.NodeDef] = {node.name: node for node in meta_graph.graph_def.node}
    for spot in reach.of(collected_main_ops(meta_graph)):
        node = nodes.get(spot.op)
        if not spot.function and node is not None and node.op.startswith("Assign"):
            yield Spot(node_of(node.input[0]))
