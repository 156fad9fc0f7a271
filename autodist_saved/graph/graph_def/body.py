"""The nodes of a graph, or of one function in its library, read and edited."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    """Nodes by name.

    A graph names outputs ``a`` and ``a:1``, a function names them ``a:output:0``. All names here are those that the
    owner uses.

    Attributes:
        nodes: by name, in the owner's order.
    """

    def __init__(self, owner: graph_pb2.GraphDef | function_pb2.FunctionDef) -> None:
        self._owner = owner
        self._is_function = isinstance(owner, function_pb2.FunctionDef)
        self.nodes: dict[str, Node] = {node.name: node for node in self._protos}

    @property
    def _protos(self) -> Any:
        return self._owner.node_def if self._is_function else self._owner.node

    def output(self, node: Node, number: int = 0) -> str:
        """The name of an output. ``number`` counts all outputs of the node, of whatever argument they are."""
        if not self._is_function:
            return f"{node.name}:{number}" if number else node.name
        arguments = private_api.op_definition(node.op).output_arg
        if len(arguments) == 1:
            return f"{node.name}:{arguments[0].name}:{number}"
        return f"{node.name}:{arguments[number].name}:0"

    def canonical(self, tensor: str) -> str:
        """The one form of a name that can be written in two: ``a`` for ``a:0`` of a graph."""
        return tensor if self._is_function else tensor.removesuffix(":0")

    def source(self, tensor: str) -> tuple[Node | None, int]:
        """The node that gives a tensor, and the number of its output; None for an argument of the function."""
        node, _, output = tensor.partition(":")
        number = output.rpartition(":")[2]
        return self.nodes.get(node), int(number) if number.isdecimal() else 0

    def origin(self, tensor: str) -> tuple[Node | None, int]:
        """The source of a tensor, before all nodes that only pass it on."""

        def passed_on(tensor: str) -> Iterable[str]:
            node, _ = self.source(tensor)
            return node.input[:1] if node is not None and node.op in PASS_THROUGH else ()

        *_, first = walk([tensor], passed_on)
        return self.source(first)

    def nodes_of(self, names: Iterable[str]) -> list[str]:
        """Names of the nodes that inputs name, without those that are not in the body."""
        return [node for node in map(node_of, names) if node in self.nodes]

    def add(self, op: str, name: str, inputs: Iterable[str], **attributes: Any) -> Node:
        """Add a node, under ``name`` or a numbered one that is free. Returns it."""
        node = self._protos.add(op=op, name=unused(name, self.nodes), input=list(inputs))
        for key, value in attributes.items():
            _set(node, key, value)
        self.nodes[node.name] = node
        return node

    def value(self, tensor: str) -> Any:
        """The array that a constant tensor has; None for any other tensor."""
        node, _ = self.origin(tensor)
        if node is None or node.op != "Const":
            return None
        return tf.make_ndarray(node.attr["value"].tensor)

    def rank(self, tensor: str) -> int | None:
        """The number of a tensor's dimensions; None where the graph does not say."""
        node, number = self.source(tensor)
        shapes = () if node is None else node.attr["_output_shapes"].list.shape
        return tf.TensorShape(shapes[number]).rank if number < len(shapes) else None

    def behind(self, roots: Iterable[str], follows: Callable[[str], bool] | None = None) -> set[str]:
        """Names of the nodes that tensors and operations need, with their own nodes.

        Args:
            roots: names of the tensors and operations. Those that are not in the body are ignored.
            follows: returns whether an input is needed; by default all are.
        """

        def inputs(name: str) -> Iterable[str]:
            names = self.nodes[name].input
            return self.nodes_of(names if follows is None else filter(follows, names))

        return set(walk(self.nodes_of(roots), inputs))

    def keep(self, names: Iterable[str]) -> None:
        """Remove all nodes but these. The others stop waiting for removed ones."""
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
        """Remove all nodes that are not needed. The arguments are those of :meth:`behind`."""
        self.keep(self.behind(roots, follows))

    def rename(self, new_names: Mapping[str, str]) -> None:
        """Give nodes, or arguments of the function, other names. Colocation with other nodes ends."""
        former = list(self.nodes)
        for node in self._protos:
            node.name = new_names.get(node.name, node.name)
            node.input[:] = [renamed(name, new_names) for name in node.input]
        self.nodes = {node.name: node for node in self._protos}
        self._colocate({name: new_names.get(name, name) for name in former})

    def mend_colocation(self) -> None:
        """End colocation with nodes that are not in the body: TensorFlow refuses to import a graph that has some."""
        self._colocate({name: name for name in self.nodes})

    def _colocate(self, names: Mapping[str, str]) -> None:
        """``names``: present names of the nodes, by the names that colocation uses."""
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
        """Take groups apart, as ``tf.group`` makes them, and the groups in these.

        Args:
            names: of operations, groups or not. Those that are not in the body are ignored.

        Returns:
            names of all groups, and names of all operations that are in groups or are not groups.
        """

        def members(name: str) -> Iterable[str]:
            node = self.nodes[name]
            return self.nodes_of(node.input) if node.op == "NoOp" else ()

        found = list(walk(self.nodes_of(names), members))
        groups = [name for name in found if self.nodes[name].op == "NoOp"]
        return groups, [name for name in found if self.nodes[name].op != "NoOp"]

    def in_order(self) -> list[Node]:
        """The nodes, each after its inputs. Only where a loop goes around, an input comes later."""
        users = self._users()
        waiting = Counter(user for of_node in users.values() for user in of_node)

        def ready(name: str) -> Iterator[str]:
            for user in users[name]:
                waiting[user] -= 1
                if not waiting[user]:
                    yield user

        return [self.nodes[name] for name in walk([name for name in self.nodes if name not in waiting], ready)]

    def in_loops(self) -> set[str]:
        """Names of the nodes in loops of TensorFlow's first control flow, and of all nodes after a loop.

        A node after a loop may be in another loop around it.
        """
        entries = [name for name, node in self.nodes.items() if node.op in ENTERS]
        users = self._users() if entries else {}
        return set(walk(entries, lambda name: users[name]))

    def _users(self) -> Mapping[str, list[str]]:
        """The nodes that take an output of a node or wait for it, by its name; without the way back in a loop."""
        users = defaultdict[str, list[str]](list)
        for user, node in self.nodes.items():
            for name in self.nodes_of(node.input):
                users[name].append(user)
        for name, node in self.nodes.items():
            if node.op in NEXT_ITERATIONS:
                users[name] = []
        return users


def renamed(name: str, new_names: Mapping[str, str]) -> str:
    """The present name of an input. ``new_names``: of nodes, by former names."""
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
    """The dtype in an attribute of a node."""
    return tf.as_dtype(node.attr[key].type)
