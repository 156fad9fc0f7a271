"""What a saver saves besides variables, such as mutable tables, read from its operations in the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from autodist_saved.graph.graph_def.body import Body, renamed
from autodist_saved.graph.graph_def.prune import prune_library
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import Node, data_inputs, node_of
from autodist_saved.tf_internals.op_types import PLACEHOLDERS

# They take no inputs, and are not what is saved.
_GIVEN = PLACEHOLDERS | {"Const"}


@dataclass(frozen=True)
class SavedState:
    """Something that a saver saves under one or more keys.

    Attributes:
        tensors: names of the tensors that are saved, by key.
        restored: keys, by the names of the tensors that are read under them.
        restore_op: name of the operation that restores it.
        restoring: names of all nodes that ``restore_op`` needs, without those that read files.
    """

    tensors: Mapping[str, str]
    restored: Mapping[str, str]
    restore_op: str
    restoring: Set[str]

    def is_in(self, body: Body, kept: Set[str]) -> bool:
        """Whether the table, or whatever is saved, is among the nodes that are kept. ``body``: its graph."""
        return any(
            name in kept and not data_inputs(body.nodes[name]) and body.nodes[name].op not in _GIVEN
            for name in self.restoring
        )


def saved_states(body: Body, saver_def: Any, variables: Set[str]) -> Iterator[SavedState]:
    """Yield all that a saver saves besides variables.

    Args:
        body: the graph with the saver's operations.
        saver_def: the saver.
        variables: keys of the variables.
    """
    tensors = _saved_tensors(body, saver_def.save_tensor_name)
    keys_read = {node.name: _keys(body, node) for node in body.nodes.values() if node.op == "RestoreV2"}
    _, restore_ops = body.groups([saver_def.restore_op_name])
    one_after_the_other = {f"^{name}" for name in restore_ops}
    for restore_op in restore_ops:
        restored = {}
        restoring = body.behind(
            [restore_op], lambda name: name not in one_after_the_other and node_of(name) not in keys_read
        )
        for name in restoring:
            for tensor in data_inputs(body.nodes[name]):
                reader, number = body.source(tensor)
                if reader is not None and reader.op == "RestoreV2":
                    restored[body.canonical(tensor)] = keys_read[reader.name][number]
        keys = set(restored.values())
        if keys and not keys & variables:
            yield SavedState({key: tensors[key] for key in sorted(keys)}, restored, restore_op, restoring)


class ReplayedState(private_api.SaveableObject):  # type: ignore[misc]
    """Saves and restores a :class:`SavedState` in another graph, with copies of the first graph's operations.

    That other graph must be the default one when it is made.
    """

    def __init__(self, state: SavedState, first: graph_pb2.GraphDef, present: Mapping[str, str]) -> None:
        """``present``: names in the other graph of the nodes that are in both, by their names in the first."""
        self._state = state
        self._first = first
        self._present = present
        specs = [
            private_api.SaveSpec(self._copy(tensor, Body(first).behind([tensor]), {}), "", key)
            for key, tensor in state.tensors.items()
        ]
        super().__init__(specs[0].tensor, specs, specs[0].name)

    def restore(self, restored_tensors: list[tf.Tensor], restored_shapes: Any) -> tf.Operation:  # noqa: ARG002
        """See TensorFlow's."""
        by_key = dict(zip(self._state.tensors, restored_tensors, strict=True))
        read = {tensor: by_key[key] for tensor, key in self._state.restored.items()}
        return self._copy(self._state.restore_op, self._state.restoring, read)

    def _copy(self, name: str, nodes: Set[str], instead: Mapping[str, tf.Tensor]) -> Any:
        """Copy a tensor or an operation of the first graph.

        Args:
            name: the tensor's, or the operation's.
            nodes: names of the nodes that it needs. Those that are not in the other graph are copied with it.
            instead: tensors to use instead of others, by name.
        """
        body, needed = Body(self._first), nodes - self._present.keys()
        part = graph_pb2.GraphDef(versions=self._first.versions, library=self._first.library)
        part.node.extend(body.nodes[node] for node in sorted(needed))
        others = Body(part)
        others.keep(needed)
        others.mend_colocation()
        prune_library(part)
        given = dict(instead)
        graph = tf.compat.v1.get_default_graph()
        for tensor in (tensor for node in part.node for tensor in data_inputs(node) if node_of(tensor) not in needed):
            if body.canonical(tensor) not in instead:
                given[tensor] = graph.get_tensor_by_name(_with_number(renamed(tensor, self._present)))
        (element,) = tf.import_graph_def(part, input_map=given, return_elements=[name], name="state")
        return element


def _saved_tensors(body: Body, save_tensor: str) -> dict[str, str]:
    """Names of the tensors that a saver saves, by key."""
    tensors: dict[str, str] = {}
    for name in body.behind([save_tensor]):
        node = body.nodes[name]
        if node.op == "SaveV2":
            tensors.update(zip(_keys(body, node), map(_with_number, data_inputs(node)[3:]), strict=True))
    return tensors


def _keys(body: Body, node: Node) -> list[str]:
    """The keys that a node reads or writes."""
    return [tf.compat.as_text(key) for key in body.value(node.input[1]).tolist()]


def _with_number(tensor: str) -> str:
    return tensor if ":" in tensor else f"{tensor}:0"
