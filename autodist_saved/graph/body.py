"""The nodes of a graph, or of one function in its library, to be edited."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, function_pb2, graph_pb2, node_def_pb2

from autodist_saved.tf_internals import private_api

Node: TypeAlias = node_def_pb2.NodeDef

# What hands its first input on as it is.
PASSES_ON = frozenset({"Identity", "Enter", "Switch"})

_COLOCATION = "loc:@"


def node_of(name: str) -> str:
    """The node that an input names: ``a`` of ``a``, ``a:1``, ``a:output:0`` and ``^a``."""
    return name.removeprefix("^").partition(":")[0]


def is_control(name: str) -> bool:
    """Whether an input is only waited for."""
    return name.startswith("^")


def data_inputs(node: Node) -> list[str]:
    """The inputs of a node that it takes values of."""
    return [name for name in node.input if not is_control(name)]


def called_functions(node: Node) -> Iterator[Any]:
    """What names functions in the attributes of a node, in the order of the attributes' names."""
    for _, value in sorted(node.attr.items()):
        yield from functions_in(value)


def functions_in(attribute: attr_value_pb2.AttrValue) -> Iterator[Any]:
    """The ``NameAttrList`` of each function that an attribute names."""
    match attribute.WhichOneof("value"):
        case "func":
            yield attribute.func
        case "list":
            yield from attribute.list.func


def unused(name: str, names: Iterable[str]) -> str:
    """``name``, or the first of ``name_1``, ``name_2``, ... that is not among ``names``."""
    numbered = (f"{name}_{number}" for number in itertools.count(1))
    return next(candidate for candidate in itertools.chain([name], numbered) if candidate not in names)


class Body:
    """Nodes by name. Outputs of nodes are named ``a`` and ``a:1`` in a graph, ``a:output:0`` in a function."""

    def __init__(self, owner: graph_pb2.GraphDef | function_pb2.FunctionDef) -> None:
        self._owner = owner
        self._is_function = isinstance(owner, function_pb2.FunctionDef)
        self.nodes: dict[str, Node] = {node.name: node for node in self._protos}

    @property
    def _protos(self) -> Any:
        return self._owner.node_def if self._is_function else self._owner.node

    def output(self, node: Node, number: int = 0) -> str:
        """How others name an output of a node, counted over all of its outputs."""
        if not self._is_function:
            return f"{node.name}:{number}" if number else node.name
        arguments = private_api.op_definition(node.op).output_arg
        if len(arguments) == 1:
            return f"{node.name}:{arguments[0].name}:{number}"
        return f"{node.name}:{arguments[number].name}:0"

    def canonical(self, tensor: str) -> str:
        """The one way to write an input that can be written in two."""
        return tensor if self._is_function else tensor.removesuffix(":0")

    def source(self, tensor: str) -> tuple[Node | None, int]:
        """The node behind an input, and the number of its output; None for an argument of the function."""
        node, _, output = tensor.partition(":")
        number = output.rpartition(":")[2]
        return self.nodes.get(node), int(number) if number.isdecimal() else 0

    def add(self, op: str, name: str, inputs: Iterable[str], **attributes: Any) -> Node:
        """Add a node of a free name."""
        node = self._protos.add(op=op, name=unused(name, self.nodes), input=list(inputs))
        for key, value in attributes.items():
            _set(node, key, value)
        self.nodes[node.name] = node
        return node

    def value(self, tensor: str) -> Any:
        """The array of a tensor that is a constant; None for any other."""
        node = self.origin(tensor)
        if node is None or node.op != "Const":
            return None
        return tf.make_ndarray(node.attr["value"].tensor)

    def origin(self, tensor: str) -> Node | None:
        """The node that an input comes from, past those that hand it on; None for an argument of the function."""
        node, _ = self.source(tensor)
        while node is not None and node.op in PASSES_ON:
            node, _ = self.source(node.input[0])
        return node

    def rank(self, tensor: str) -> int | None:
        """How many dimensions a tensor has, where the graph tells."""
        node, number = self.source(tensor)
        shapes = () if node is None else node.attr["_output_shapes"].list.shape
        return tf.TensorShape(shapes[number]).rank if number < len(shapes) else None

    def keep(self, names: Iterable[str]) -> None:
        """Leave out all nodes but these, and stop waiting for those that are gone."""
        kept = set(names)
        protos = [node for node in self._protos if node.name in kept]
        for node in protos:
            others = [name for name in node.input if not is_control(name) or node_of(name) in kept]
            if len(others) < len(node.input):
                node.input[:] = others
        del self._protos[:]
        self._protos.extend(protos)
        self.nodes = {node.name: node for node in self._protos}

    def rename(self, new_names: Mapping[str, str]) -> None:
        """Give nodes, or arguments of the function, other names; end colocation with what is not in the body."""
        for node in self._protos:
            node.name = new_names.get(node.name, node.name)
            node.input[:] = [renamed(name, new_names) for name in node.input]
        groups = {f"{_COLOCATION}{name}": f"{_COLOCATION}{new_names.get(name, name)}" for name in self.nodes}
        self.nodes = {node.name: node for node in self._protos}
        for node in self._protos:
            classes = [tf.compat.as_text(group) for group in node.attr["_class"].list.s]
            classes = [groups.get(name, name) for name in classes if name in groups or _COLOCATION not in name]
            node.attr["_class"].list.s[:] = map(tf.compat.as_bytes, classes)
            if not classes:
                del node.attr["_class"]

    def behind(self, roots: Iterable[str], follows: Callable[[Node, str], bool] = lambda *_: True) -> set[str]:
        """Names of the nodes that these nodes need, themselves included. ``follows``: whether an input is needed."""
        waiting = [name for name in roots if name in self.nodes]
        seen = set(waiting)
        while waiting:
            node = self.nodes[waiting.pop()]
            before = {node_of(name) for name in node.input if follows(node, name)} & self.nodes.keys()
            waiting.extend(before - seen)
            seen |= before
        return seen

    def groups(self, names: Iterable[str]) -> list[str]:
        """The groups of operations that operations are, or consist of: what ``tf.group`` makes."""
        waiting, found = list(names), list[str]()
        while waiting:
            node = self.nodes.get(waiting.pop())
            if node is not None and node.op == "NoOp" and node.name not in found:
                found.append(node.name)
                waiting.extend(node_of(name) for name in node.input if is_control(name))
        return found

    def in_order(self) -> list[Node]:
        """The nodes, each after those whose outputs it takes; but where a loop goes around."""
        ordered: dict[str, Node] = {}
        opened: set[str] = set()
        waiting = list(reversed(self.nodes))
        while waiting:
            node = self.nodes[waiting[-1]]
            before = [] if node.name in opened else [node_of(name) for name in node.input]
            opened.add(node.name)
            before = [
                name
                for name in before
                if name in self.nodes and name not in opened and self.nodes[name].op != "NextIteration"
            ]
            if before:
                waiting.extend(before)
                continue
            ordered.setdefault(waiting.pop(), node)
        return list(ordered.values())

    def in_loops(self) -> set[str]:
        """Names of the nodes inside loops of TensorFlow's first control flow: between Enter and Exit."""
        inside: set[str] = set()
        for node in self.in_order():
            if node.op == "Enter" or any(
                node_of(name) in inside and self.nodes[node_of(name)].op != "Exit" for name in node.input
            ):
                inside.add(node.name)
        return inside


def renamed(name: str, new_names: Mapping[str, str]) -> str:
    """An input whose node may have another name now."""
    node = node_of(name)
    return name.replace(node, new_names[node], 1) if node in new_names else name


def _set(node: Node, key: str, value: Any) -> None:
    attribute = node.attr[key]
    match value:
        case tf.DType():
            attribute.type = value.as_datatype_enum
        case tf.TensorShape():
            attribute.shape.CopyFrom(value.as_proto())
        case bool():
            attribute.b = value
        case int():
            attribute.i = value
        case str():
            attribute.s = value.encode()
        case _:
            attribute.tensor.CopyFrom(value)


def as_dtype(node: Node, key: str) -> tf.DType:
    """A type among the attributes of a node."""
    return tf.as_dtype(node.attr[key].type)
