"""Step detection: finds out from the graph alone which runs of a session change the job's variables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.job.sync_update_gate import UpdateGate, update_gates
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import (
    Functions,
    Node,
    called_functions,
    consumers,
    functions_of,
    producers,
    walk,
)
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
_REMEMBERED_MAX = 1000


class StepDetector:
    """Finds out for one graph which fetches change variables. Local variables and those of this package do not count.

    In doubt a fetch changes variables: ops of unknown types do, and fetches of unknown kinds.
    """

    def __init__(self, graph: tf.Graph) -> None:
        self._graph = graph
        self._functions: Functions = {}
        # By the identities of the fetches. The fetches are kept, so that no new object can get the same identity.
        self._remembered: dict[tuple[int, ...], tuple[list[Any], tuple[bool, UpdateGate | None]]] = {}

    def any_in(self, fetches: Any) -> bool:
        """Whether a run of these fetches, as ``Session.run`` takes them, changes variables."""
        return self.look(fetches)[0]

    def look(self, fetches: Any) -> tuple[bool, UpdateGate | None]:
        """Whether a run changes variables, and its update gate.

        Args:
            fetches: as ``Session.run`` takes them.

        Returns:
            whether it changes any; and the gate that the run passes by itself before it changes the first, or None.
        """
        leaves = list(_leaves(fetches))
        key = tuple(map(id, leaves))
        known = self._remembered.get(key)
        if known is None:
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            known = self._remembered[key] = leaves, self._find(leaves)
        return known[1]

    def _find(self, leaves: Iterable[Any]) -> tuple[bool, UpdateGate | None]:
        try:
            elements = [self._graph.as_graph_element(leaf) for leaf in leaves]
        except (TypeError, ValueError, KeyError):
            return True, None
        operations = {element if isinstance(element, tf.Operation) else element.op for element in elements}
        if not self._any_before(operations, set()):
            return False, None
        for op, gate in update_gates(self._graph).items():
            gated = set(walk([op], consumers))
            if not gated.isdisjoint(operations) and not self._any_before(operations, gated):
                return True, gate
        return True, None

    def _any_before(self, ends: Iterable[tf.Operation], excluded: Set[tf.Operation]) -> bool:
        exempt, own = self._local_variables(), own_scopes(self._graph)
        return any(
            self._writes(operation, exempt)
            for operation in walk(ends, producers)
            if operation not in excluded and not operation.name.startswith(own)
        )

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


def _leaves(fetches: Any) -> Iterator[Any]:
    if isinstance(fetches, Mapping):
        for value in fetches.values():
            yield from _leaves(value)
    elif isinstance(fetches, list | tuple):
        for value in fetches:
            yield from _leaves(value)
    elif fetches is not None:
        yield fetches
