"""Variables that operations give a value, whatever it was before."""

from __future__ import annotations

from collections.abc import Iterable

from autodist_saved.graph.body import Body, called_functions, data_inputs
from autodist_saved.graph.variable_defs import VARIABLES

_ASSIGNMENTS = frozenset({"Assign", "AssignVariableOp"})


def assigned(body: Body, names: Iterable[str]) -> set[str]:
    """Names of the variables that these nodes assign."""
    assignments = (node for name in names if (node := body.nodes[name]).op in _ASSIGNMENTS)
    return _variables(body, (node.input[0] for node in assignments))


def handed_to_functions(body: Body, names: Iterable[str]) -> set[str]:
    """Names of the variables that these nodes hand to functions, which may assign them."""
    calls = (node for name in names if any(called_functions(node := body.nodes[name])))
    return _variables(body, (tensor for node in calls for tensor in data_inputs(node)))


def _variables(body: Body, tensors: Iterable[str]) -> set[str]:
    return {node.name for tensor in tensors if (node := body.origin(tensor)) is not None and node.op in VARIABLES}
