"""Which inputs of a node become arguments of the functions that it calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import Node, called_functions
from autodist_saved.tf_internals.op_types import BRANCHES, CALLS, LOOPS

# Where the arguments of functions begin among the inputs of what calls them.
_FIRST_ARGUMENT = {**dict.fromkeys(CALLS | LOOPS, 0), **dict.fromkeys(BRANCHES, 1)}
# The ops of datasets call functions with elements, and after these with what the functions have captured.
_CAPTURED = "other_arguments"


@dataclass(frozen=True)
class Passed:
    """Inputs of a node that functions take as arguments.

    Attributes:
        inputs: positions of the inputs, among those with values.
        first: position of the first of them among the arguments. If it is negative, it counts from their end.
        functions: the functions as the node's attributes name them. All take these arguments.
    """

    inputs: range
    first: int
    functions: Sequence[Any]


def passed(node: Node, inputs: int) -> list[Passed]:
    """What a node passes to functions; nothing where that is not known.

    Args:
        node: the node.
        inputs: how many inputs with values it has.
    """
    if node.op in _FIRST_ARGUMENT:
        return [Passed(range(_FIRST_ARGUMENT[node.op], inputs), 0, [*called_functions(node)])]
    return [*_captured(node)]


def _captured(node: Node) -> Iterator[Passed]:
    definition = private_api.op_definition(node.op)
    at = 0
    for argument in () if definition is None else definition.input_arg:
        span = range(at, at + _length(node, argument))
        at = span.stop
        if argument.name.endswith(_CAPTURED) and span:
            function = _function(node, definition, argument.name.removesuffix(_CAPTURED).removesuffix("_"))
            if function is not None:
                yield Passed(span, -len(span), [function])


def _length(node: Node, argument: Any) -> int:
    if argument.type_list_attr:
        return len(node.attr[argument.type_list_attr].list.type)
    return int(node.attr[argument.number_attr].i) if argument.number_attr else 1


def _function(node: Node, definition: Any, name: str) -> Any:
    """The function in the attribute of this name, or in the only one where there is no name."""
    functions = [attribute.name for attribute in definition.attr if attribute.type == "func"]
    if name not in functions:
        name = functions[0] if not name and len(functions) == 1 else ""
    return node.attr[name].func if name else None
