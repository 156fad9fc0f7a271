"""Variable writes: which ops of a graph change the job's variables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import Functions, Node, called_functions, functions_of, walk
from autodist_saved.tf_internals.name_scope import own_scopes
from autodist_saved.tf_internals.op_types import (
    NEVER_SAVED,
    PASS_ON,
    STATIC_TABLES,
    TABLE_READS,
    TAKE_ANYTHING,
    VARIABLE_READS,
)

_READS = VARIABLE_READS | TABLE_READS | PASS_ON
# Every other handle counts as a variable's. A worker of SyncReplicasOptimizer hands gradients to accumulators, so it
# makes no step. The chief's update makes it.
_NO_VARIABLES = NEVER_SAVED | STATIC_TABLES


class VariableWrites:
    """Finds the ops of one graph that change variables. Local variables and those of this package do not count.

    In doubt an op changes variables: ops of unknown types do.
    """

    def __init__(self, graph: tf.Graph) -> None:
        self._graph = graph
        self._functions: Functions = {}

    def among(self, operations: Iterable[tf.Operation]) -> Iterator[tf.Operation]:
        """Yield those of the operations that change variables."""
        exempt, own = self._local_variables(), own_scopes(self._graph)
        for operation in operations:
            if not operation.name.startswith(own) and self._writes(operation, exempt):
                yield operation

    def any_among(self, operations: Iterable[tf.Operation]) -> bool:
        """Whether any of the operations changes variables. It looks at no more than it has to."""
        return next(self.among(operations), None) is not None

    def _local_variables(self) -> frozenset[str]:
        return self._names_in(v1.GraphKeys.LOCAL_VARIABLES) - self._names_in(v1.GraphKeys.GLOBAL_VARIABLES)

    def _names_in(self, collection: str) -> frozenset[str]:
        return frozenset(
            tensor.op.name
            for variable in self._graph.get_collection(collection)
            for tensor in (getattr(variable, "handle", None), variable)
            if tensor is not None
        )

    def _writes(self, operation: tf.Operation, exempt: frozenset[str]) -> bool:
        if operation.type in _READS:
            return False
        takes_references = any(argument.is_ref for argument in operation.op_def.input_arg)
        if called := [function.name for function in called_functions(operation.node_def)]:
            return self._functions_write(called)
        return any(
            holder.name not in exempt and holder.type not in _NO_VARIABLES
            for tensor in operation.inputs
            if tensor.dtype == tf.resource or (takes_references and private_api.is_reference(tensor))
            for holder in _holders(tensor)
        )

    def _functions_write(self, names: Iterable[str]) -> bool:
        """Whether functions, or those that they call, change variables that they take."""
        return any(
            self._is_unknown(name) or any(_changes(node) for node in self._takers(name))
            for name in walk(names, self._callees)
        )

    def _callees(self, name: str) -> Iterator[str]:
        """Yield names of the functions to which a function may pass on what it takes."""
        return (called.name for node in self._takers(name) for called in called_functions(node))

    def _takers(self, name: str) -> Iterator[Node]:
        """Yield the ops of a function that may take handles and are not known to only read."""
        nodes = self._functions[name].node_def
        return (node for node in nodes if node.op not in _READS and private_api.takes_resources(node.op))

    def _is_unknown(self, name: str) -> bool:
        """Whether the graph has no such function. It may have got new ones since the last look."""
        if name not in self._functions:
            self._functions = functions_of(self._graph.as_graph_def().library)
        return name not in self._functions


def _changes(node: Node) -> bool:
    """Whether an op in a function may itself change what it takes. A call does not: its functions may."""
    return node.op not in TAKE_ANYTHING and not any(called_functions(node))


def _holders(tensor: tf.Tensor) -> Iterator[tf.Operation]:
    """Yield the ops that a handle or a reference may come from."""

    def passed_on(operation: tf.Operation) -> list[tf.Operation]:
        if operation.type not in PASS_ON:
            return []
        return [one.op for one in operation.inputs if one.dtype == tf.resource or private_api.is_reference(one)]

    return (operation for operation in walk([tensor.op], passed_on) if operation.type not in PASS_ON)
