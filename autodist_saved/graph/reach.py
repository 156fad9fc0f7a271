"""What a signature reaches: the ops behind its outputs, down to its inputs, and those of the functions they call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.body import called_functions
from autodist_saved.graph.tensor_infos import tensor_names

_RESERVED = "__saved_model_"  # TensorFlow's own signatures: of the init op, of the train op


@dataclass(frozen=True)
class Spot:
    """Where an op is: its name, and the function of the library that it is in; none for the graph itself."""

    op: str
    function: str = ""

    def __str__(self) -> str:
        return f"{self.op!r} of function {self.function!r}" if self.function else repr(self.op)


def all_ops(graph_def: graph_pb2.GraphDef) -> Iterator[tuple[Spot, node_def_pb2.NodeDef]]:
    """The ops of a graph and of all functions in its library."""
    for node in graph_def.node:
        yield Spot(node.name), node
    for function in graph_def.library.function:
        for node in function.node_def:
            yield Spot(node.name, function.signature.name), node


def is_for_users(signature: str) -> bool:
    """Whether a signature of this name is one that users ask, and none that TensorFlow keeps for itself."""
    return not signature.startswith(_RESERVED)


class Reach:
    """What signatures and ops of one graph reach."""

    def __init__(self, graph_def: graph_pb2.GraphDef) -> None:
        self._nodes = {node.name: node for node in graph_def.node}
        self._functions = {function.signature.name: function for function in graph_def.library.function}

    def of_signature(self, signature: meta_graph_pb2.SignatureDef) -> set[Spot]:
        """What computing the outputs takes when the inputs are fed."""
        outputs, inputs = (
            [name for info in infos.values() for name in tensor_names(info)]
            for infos in (signature.outputs, signature.inputs)
        )
        return self.of(outputs, fed=inputs)

    def of(self, names: Iterable[str], fed: Iterable[str] = ()) -> set[Spot]:
        """What computing tensors, or running ops, of these names takes when the tensors ``fed`` are known."""
        known = {_tensor(name) for name in fed}
        waiting, reached, called = [_tensor(name) for name in names], set[Spot](), list[str]()
        while waiting:
            tensor = waiting.pop()
            node = self._nodes.get(tensor.partition(":")[0])
            if tensor in known or node is None or Spot(node.name) in reached:
                continue
            reached.add(Spot(node.name))
            called.extend(_called(node))
            waiting.extend(map(_tensor, node.input))
        return reached | self._bodies(called)

    def _bodies(self, waiting: list[str]) -> set[Spot]:
        """All ops of functions, and of those that they call."""
        entered, reached = set[str](), set[Spot]()
        while waiting:
            name = waiting.pop()
            if name in entered or name not in self._functions:
                continue
            entered.add(name)
            for node in self._functions[name].node_def:
                reached.add(Spot(node.name, name))
                waiting.extend(_called(node))
        return reached


def _tensor(name: str) -> str:
    """The name of a tensor, as signatures write it, from an input of a node or the name of an op."""
    name = name.removeprefix("^")
    return name if ":" in name else f"{name}:0"


def _called(node: node_def_pb2.NodeDef) -> Iterator[str]:
    """Names that may be those of functions: the op's own type, and what its attributes name."""
    yield node.op
    for function in called_functions(node):
        yield function.name
