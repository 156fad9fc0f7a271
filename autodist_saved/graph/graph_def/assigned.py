"""The variables to which nodes give a value."""

from __future__ import annotations

from collections.abc import Iterable

from autodist_saved.graph.graph_def.body import Body
from autodist_saved.tf_internals.graph_walk import called_functions, data_inputs
from autodist_saved.tf_internals.op_types import ASSIGNMENTS, VARIABLES


def assigned(body: Body, names: Iterable[str], types: frozenset[str] = ASSIGNMENTS) -> set[str]:
    """Names of the variables that these nodes assign. ``types``: the op types that count."""
    assignments = (node for name in names if (node := body.nodes[name]).op in types)
    return _variables(body, (node.input[0] for node in assignments))


def handed_to_functions(body: Body, names: Iterable[str]) -> set[str]:
    """Names of the variables that these nodes pass to functions, which may assign them."""
    calls = (node for name in names if any(called_functions(node := body.nodes[name])))
    return _variables(body, (tensor for node in calls for tensor in data_inputs(node)))


def _variables(body: Body, tensors: Iterable[str]) -> set[str]:
    origins = (body.origin(tensor)[0] for tensor in tensors)
    return {node.name for node in origins if node is not None and node.op in VARIABLES}
