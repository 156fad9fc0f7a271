"""Which runs of a session change the job's variables, told from the graph alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.job.sync_update_gate import UpdateGate, update_gates
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.name_scope import own_scopes

# What has handles and keeps nothing that is saved. So a worker of SyncReplicasOptimizer, which hands gradients to
# accumulators, makes no step: the chief's update does. Handles of anything else are taken for a variable's.
_KEEPS_NOTHING = (
    "Queue",
    "Accumulator",
    "Iterator",
    "Barrier",
    "Stack",
    "TensorArray",
    "Reader",
    "Dataset",
    "Summary",
)
_FILLED_ONCE = frozenset({"HashTable", "HashTableV2", "AnonymousHashTable"})
# What hands a reference or a handle on.
_PASSES_ON = frozenset(
    {
        *("Identity", "Switch", "Merge", "Enter", "Exit", "NextIteration", "Select"),
        *("RefIdentity", "RefSwitch", "RefMerge", "RefEnter", "RefExit", "RefNextIteration", "RefSelect"),
    }
)
_READS = _PASSES_ON | {
    *("ReadVariableOp", "_ReadVariablesOp", "ReadVariableXlaSplitND", "ResourceGather", "ResourceGatherNd"),
    *("VariableShape", "VarIsInitializedOp", "IsVariableInitialized", "DisableCopyOnRead"),
    *("LookupTableFind", "LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2"),
    *("LookupTableExport", "LookupTableExportV2", "IsResourceHandleRefCounting"),
}
# What has lists of inputs of any type.
_TAKES_ANYTHING = frozenset({"IdentityN", "Assert", "Print", "StringFormat", "EnsureShape", "Pack", "NoOp"})
_REMEMBERED_MAX = 1000


class StepDetector:
    """Knows for one graph which fetches change variables that outlive a step, other than local ones and ours.

    In doubt they do: ops of unknown types, and fetches of unknown kinds.
    """

    def __init__(self, graph: tf.Graph) -> None:
        self._graph = graph
        self._functions: dict[str, Any] | None = None
        # By the identities of the fetches, which are held so that no other object can come to have them.
        self._remembered: dict[tuple[int, ...], tuple[list[Any], tuple[bool, UpdateGate | None]]] = {}

    def any_in(self, fetches: Any) -> bool:
        """Whether a run of these fetches, as ``Session.run`` takes them, changes variables."""
        return self.look(fetches)[0]

    def look(self, fetches: Any) -> tuple[bool, UpdateGate | None]:
        """Whether a run changes variables; and the gate that it passes before the first, if it does so by itself."""
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
            behind = _behind(op)
            if not behind.isdisjoint(operations) and not self._any_before(operations, behind):
                return True, gate
        return True, None

    def _any_before(self, ends: Iterable[tf.Operation], excluded: Set[tf.Operation]) -> bool:
        exempt = self._local_variables()
        own = own_scopes(self._graph)
        operations = list(ends)
        seen = set(operations)
        while operations:
            operation = operations.pop()
            ours = operation in excluded or (own and operation.name.startswith(own))
            if not ours and self._writes(operation, exempt):
                return True
            before = {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)
            operations.extend(before - seen)
            seen |= before
        return False

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
        if called := list(_called(operation.node_def)):
            return any(self._function_writes(name, set()) for name in called)
        return any(
            holder.name not in exempt and _keeps_values(holder)
            for tensor in operation.inputs
            if tensor.dtype == tf.resource or (takes_references and private_api.is_reference(tensor))
            for holder in _holders(tensor)
        )

    def _function_writes(self, name: str, seen: set[str]) -> bool:
        """Whether the body of a function, or of a branch or a loop, changes what it is handed."""
        if name in seen:
            return False
        seen.add(name)
        if self._functions is None or name not in self._functions:
            library = self._graph.as_graph_def().library
            self._functions = {function.signature.name: function for function in library.function}
        if name not in self._functions:
            return True
        for node in self._functions[name].node_def:
            if node.op in _READS or not private_api.takes_resources(node.op):
                continue
            called = list(_called(node))
            if not called and node.op not in _TAKES_ANYTHING:
                return True
            if any(self._function_writes(function, seen) for function in called):
                return True
        return False


def _behind(start: tf.Operation) -> Set[tf.Operation]:
    """An op, and all that wait for it."""
    seen, waiting = {start}, [start]
    while waiting:
        operation = waiting.pop()
        after = {consumer for tensor in operation.outputs for consumer in tensor.consumers()}
        after |= set(private_api.control_outputs(operation))
        waiting.extend(after - seen)
        seen |= after
    return seen


def _called(node: Any) -> Iterator[str]:
    """Names of the functions that a node calls."""
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)


def _holders(tensor: tf.Tensor) -> Iterator[tf.Operation]:
    """The ops that a handle or a reference may come from."""
    waiting, seen = [tensor.op], {tensor.op}
    while waiting:
        operation = waiting.pop()
        if operation.type not in _PASSES_ON:
            yield operation
            continue
        before = {
            passed.op
            for passed in operation.inputs
            if passed.dtype == tf.resource or private_api.is_reference(passed)
        }
        waiting.extend(before - seen)
        seen |= before


def _keeps_values(holder: tf.Operation) -> bool:
    return holder.type not in _FILLED_ONCE and not any(word in holder.type for word in _KEEPS_NOTHING)


def _leaves(fetches: Any) -> Iterator[Any]:
    if isinstance(fetches, Mapping):
        for value in fetches.values():
            yield from _leaves(value)
    elif isinstance(fetches, list | tuple):
        for value in fetches:
            yield from _leaves(value)
    elif fetches is not None:
        yield fetches
