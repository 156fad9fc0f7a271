"""The one walk over graphs, and the steps that it can take.

:func:`walk` visits all that can be reached. A function tells it where to go on:

- among the operations of a live graph, :func:`producers` go back and :func:`consumers` go forward;
- among the nodes of a ``GraphDef``, :func:`node_of` finds the node of an input. ``graph/graph_def/body.py`` has the
  walks over these;
- :func:`callees` lead into the functions of a graph's library.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, function_pb2, node_def_pb2

from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.op_types import PLACEHOLDERS

Node: TypeAlias = node_def_pb2.NodeDef
Functions: TypeAlias = Mapping[str, function_pb2.FunctionDef]
"""The functions of a graph's library, by name."""

Place = TypeVar("Place")


def walk(starts: Iterable[Place], onward: Callable[[Place], Iterable[Place]]) -> Iterator[Place]:
    """Yield the starts and all that can be reached from them, each once, the nearest first.

    The walk goes only as far as its caller asks for more.

    Args:
        starts: the walk begins at them.
        onward: returns the places next to a place. It is called once for each place, after that place was yielded.
    """
    reached = set[Place]()
    waiting = deque[Place]()

    def reach(places: Iterable[Place]) -> None:
        for place in places:
            if place not in reached:
                reached.add(place)
                waiting.append(place)

    reach(starts)
    while waiting:
        place = waiting.popleft()
        yield place
        reach(onward(place))


def producers(operation: tf.Operation) -> Iterator[tf.Operation]:
    """Yield the operations of a live graph whose values an operation takes, or for which it waits."""
    for tensor in operation.inputs:
        yield tensor.op
    yield from operation.control_inputs


def consumers(operation: tf.Operation) -> Iterator[tf.Operation]:
    """Yield the operations of a live graph that take an operation's values, or wait for it."""
    for tensor in operation.outputs:
        yield from tensor.consumers()
    yield from private_api.control_outputs(operation)


def placeholders_behind(operation: tf.Operation) -> list[tf.Operation]:
    """The placeholders that an operation of a live graph needs, sorted by their names."""
    found = (one for one in walk([operation], producers) if one.type in PLACEHOLDERS)
    return sorted(found, key=lambda placeholder: str(placeholder.name))


def node_of(name: str) -> str:
    """The node that an input names: ``a`` for ``a``, ``a:1``, ``a:output:0`` and ``^a``."""
    return name.removeprefix("^").partition(":")[0]


def is_control(name: str) -> bool:
    """Whether an input only makes its node wait, and has no value."""
    return name.startswith("^")


def data_inputs(node: Node) -> list[str]:
    """The inputs of a node that have values."""
    return [name for name in node.input if not is_control(name)]


def functions_of(library: function_pb2.FunctionDefLibrary) -> Functions:
    """The functions in a library, by name."""
    return {function.signature.name: function for function in library.function}


def called_functions(node: Node) -> Iterator[Any]:
    """Yield the ``NameAttrList`` of each function that a node's attributes name, in the order of their names."""
    for _, value in sorted(node.attr.items()):
        yield from functions_in(value)


def functions_in(attribute: attr_value_pb2.AttrValue) -> Iterator[Any]:
    """Yield the ``NameAttrList`` of each function that an attribute names."""
    match attribute.WhichOneof("value"):
        case "func":
            yield attribute.func
        case "list":
            yield from attribute.list.func


def callees(node: Node) -> Iterator[str]:
    """Yield names that may be functions': the node's own type, and those in its attributes."""
    yield node.op
    for function in called_functions(node):
        yield function.name


def functions_called(nodes: Iterable[Node], functions: Functions) -> Iterator[function_pb2.FunctionDef]:
    """Yield the functions that nodes call, and those that these call in turn, each once."""

    def called_by(nodes: Iterable[Node]) -> Iterator[str]:
        return (name for node in nodes for name in callees(node) if name in functions)

    for name in walk(called_by(nodes), lambda name: called_by(functions[name].node_def)):
        yield functions[name]
