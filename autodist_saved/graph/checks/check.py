"""What would make a described model useless on one machine: refused, or warned of, before anything is written."""

from __future__ import annotations

from collections.abc import Collection

from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import GraphError
from autodist_saved.graph.checks.foreign_ops import foreign_op_problems, python_op_problems
from autodist_saved.graph.checks.random_ops import warn_of_random_ops
from autodist_saved.graph.checks.size import size_problems
from autodist_saved.graph.devices import device_problems


def check(
    meta_graph: meta_graph_pb2.MetaGraphDef,
    *,
    devices_cleared: bool,
    beside_bytes: int = 0,
    custom_ops: Collection[str] = (),
) -> None:
    """Check a meta graph as it is to be written, and log warnings.

    Args:
        meta_graph: the whole of it.
        devices_cleared: whether it is to name no task of the cluster.
        beside_bytes: of the other meta graphs in the same file.
        custom_ops: types of ops that are none of TensorFlow's and are wanted nevertheless.

    Raises:
        GraphError: a loader could not use it; all problems at once.
    """
    problems = [
        *foreign_op_problems(meta_graph, custom_ops),
        *python_op_problems(meta_graph, custom_ops),
        *size_problems(meta_graph, beside_bytes),
    ]
    if devices_cleared:
        problems += device_problems(meta_graph.graph_def)
    if problems:
        raise GraphError("the graph cannot be written as the model of one machine", problems=problems)
    warn_of_random_ops(meta_graph)
