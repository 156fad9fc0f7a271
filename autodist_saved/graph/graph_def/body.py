"""The nodes of a graph, or of one function in its library, to be edited."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2

from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import Node, is_control, node_of, walk
from autodist_saved.tf_internals.op_types import ENTERS, NEXT_ITERATIONS, PASS_THROUGH

_COLOCATION = "loc:@"


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

    def origin(self, tensor: str) -> tuple[Node | None, int]:
        """The source of an input before all nodes that only pass it on."""

        def passed_on(tensor: str) -> Iterable[str]:
            node, _ = self.source(tensor)
            return node.input[:1] if node is not None and node.op in PASS_THROUGH else ()

        *_, first = walk([tensor], passed_on)
        return self.source(first)

    def nodes_of(self, names: Iterable[str]) -> list[str]:
        """The nodes that inputs name, those that are in the body."""
        return [node for node in map(node_of, names) if node in self.nodes]

    def add(self, op: str, name: str, inputs: Iterable[str], **attributes: Any) -> Node:
        """Add a node of a free name."""
        node = self._protos.add(op=op, name=unused(name, self.nodes), input=list(inputs))
        for key, value in attributes.items():
            _set(node, key, value)
        self.nodes[node.name] = node
        return node

    def value(self, tensor: str) -> Any:
        """The array of a tensor that is a constant; None for any other."""
        node, _ = self.origin(tensor)
        if node is None or node.op != "Const":
            return None
        return tf.make_ndarray(node.attr["value"].tensor)

    def rank(self, tensor: str) -> int | None:
        """How many dimensions a tensor has, where the graph tells."""
        node, number = self.source(tensor)
        shapes = () if node is None else node.attr["_output_shapes"].list.shape
        return tf.TensorShape(shapes[number]).rank if number < len(shapes) else None

    def behind(self, roots: Iterable[str], follows: Callable[[str], bool] | None = None) -> set[str]:
        """Names of the nodes that tensors and operations need, their own nodes included.

        Args:
            roots: names of the tensors and operations; those that are not in the body are passed over.
            follows: returns whether an input is needed; all are by default.
        """

        def inputs(name: str) -> Iterable[str]:
            names = self.nodes[name].input
            return self.nodes_of(names if follows is None else filter(follows, names))

        return set(walk(self.nodes_of(roots), inputs))

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

    def prune(self, roots: Iterable[str], follows: Callable[[str], bool] | None = None) -> None:
        """Leave out all nodes but those that are needed. The arguments are those of :meth:`behind`."""
        self.keep(self.behind(roots, follows))

    def rename(self, new_names: Mapping[str, str]) -> None:
        """Give nodes, or arguments of the function, other names; end colocation with what is not in the body."""
        former = list(self.nodes)
        for node in self._protos:
            node.name = new_names.get(node.name, node.name)
            node.input[:] = [renamed(name, new_names) for name in node.input]
        self.nodes = {node.name: node for node in self._protos}
        self._colocate({name: new_names.get(name, name) for name in former})

    def mend_colocation(self) -> None:
        """End colocation with nodes that are not in the body. TensorFlow refuses to import a graph that has some."""
        self._colocate({name: name for name in self.nodes})

    def _colocate(self, names: Mapping[str, str]) -> None:
        """``names``: what the nodes of the body are called now, by what colocation calls them."""
        groups = {f"{_COLOCATION}{name}": f"{_COLOCATION}{new_name}" for name, new_name in names.items()}
        for node in self._protos:
            if "_class" not in node.attr:
                continue
            former = [tf.compat.as_text(group) for group in node.attr["_class"].list.s]
            classes = [
                groups.get(name, name) for name in former if name in groups or not name.startswith(_COLOCATION)
            ]
            if not classes:
                del node.attr["_class"]
            elif classes != former:
                node.attr["_class"].list.s[:] = map(tf.compat.as_bytes, classes)

    def groups(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        """Take apart the groups that operations are: what ``tf.group`` makes.

        Args:
            names: of the operations; those that are not in the body are passed over.

        Returns:
            the groups, and the operations that they consist of, or that are none.
        """

        def members(name: str) -> Iterable[str]:
            node = self.nodes[name]
            return self.nodes_of(node.input) if node.op == "NoOp" else ()

        found = list(walk(self.nodes_of(names), members))
        groups = [name for name in found if self.nodes[name].op == "NoOp"]
        return groups, [name for name in found if self.nodes[name].op != "NoOp"]

    def in_order(self) -> list[Node]:
        """The nodes, each after those whose outputs it takes; but where a loop goes around."""
        inputs = {
            name: [before for before in self.nodes_of(node.input) if self.nodes[before].op not in NEXT_ITERATIONS]
            for name, node in self.nodes.items()
        }
        return [self.nodes[name] for name in TopologicalSorter(inputs).static_order()]

    def in_loops(self) -> set[str]:
        """Names of the nodes in loops of TensorFlow's first control flow, and of all that follow a loop.

        What follows a loop may be in a loop around it.
        """
        entries = [node.name for node in self.nodes.values() if node.op in ENTERS]
        if not entries:
            return set()
        users = defaultdict[str, list[str]](list)
        for node in self.nodes.values():
            for name in node.input:
                users[node_of(name)].append(node.name)
        return set(walk(entries, lambda name: users[name]))


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
