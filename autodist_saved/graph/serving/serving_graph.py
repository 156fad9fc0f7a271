"""The serving graph: a described graph, cut at its signatures, with one whole variable for each name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import tensorflow.compat.v1 as v1
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.bundle.slice_spec import Slice
from autodist_saved.errors import Problem, SignatureError
from autodist_saved.graph.folding.fold import Folded, fold
from autodist_saved.graph.folding.names import as_node_name
from autodist_saved.graph.folding.region import Holder
from autodist_saved.graph.graph_def.body import Body, as_dtype
from autodist_saved.graph.graph_def.prune import prune
from autodist_saved.graph.graph_def.signature_defs import all_names, rename_tensors
from autodist_saved.graph.graph_def.variable_defs import known_shape
from autodist_saved.graph.restore_spec import RestoreSpec
from autodist_saved.graph.serving.collection_defs import mend_collections
from autodist_saved.graph.serving.fed_inputs import cut_at_inputs
from autodist_saved.graph.serving.restore_ops import with_restore_ops
from autodist_saved.graph.serving.saveables import ReplayedState, SavedState, saved_states
from autodist_saved.graph.serving.variable_in_slices import slice_problems
from autodist_saved.graph.tables import collected_main_ops, drop_unneeded_tables
from autodist_saved.plan import Shape
from autodist_saved.tf_internals import private_api


@dataclass(frozen=True)
class Serving:
    """What a serving graph is made from.

    Attributes:
        holders: the nodes of all variables that the graph's saver saves.
        averages: for variables that get the value of another one, their average: its name, by the variable's.
        captured: keys under which values are captured already, by the names of the job's variables. None where
            variables are captured for this graph, under their own names.
        slices: how variables are stored that are captured in slices, by key.
    """

    holders: Sequence[Holder]
    averages: Mapping[str, str] = field(default_factory=dict)
    captured: Mapping[str, str] | None = None
    slices: Mapping[str, tuple[Slice, ...]] = field(default_factory=dict)

    def value_of(self, variable: str) -> str:
        """Name of the variable whose value a variable gets: its average's, or its own."""
        return self.averages.get(variable, variable)

    def key_of(self, variable: str) -> str:
        """The key under which a variable's value is written, or will be."""
        value = self.value_of(variable)
        return variable if self.captured is None else self.captured.get(value, value)


def serving_graph(
    meta_graph: meta_graph_pb2.MetaGraphDef, serving: Serving, *, strip_default_attrs: bool
) -> tuple[meta_graph_pb2.MetaGraphDef, tuple[RestoreSpec, ...]]:
    """Cut a graph at its signatures.

    Inputs of signatures become placeholders (:mod:`autodist_saved.graph.serving.fed_inputs`). The main op stays, and
    fills only the tables that are needed. All other operations, variables and files that no signature needs are
    removed. Partitioned variables are folded (:mod:`autodist_saved.graph.folding.fold`). New operations save and
    restore the graph's variables.

    Args:
        meta_graph: a described graph, with its saver, collections and signatures. Do not use it afterwards.
        serving: what the serving graph is made from.
        strip_default_attrs: remove attributes that have their default value.

    Returns:
        the serving graph, and what it restores.

    Raises:
        SignatureError: the graph cannot be cut or folded; all problems at once.
    """
    trained = graph_pb2.GraphDef()
    trained.CopyFrom(meta_graph.graph_def)
    folded = _cut(meta_graph, serving)
    body = Body(meta_graph.graph_def)
    nodes = _saved_variables(body, folded, serving.holders)
    keys = {variable: serving.key_of(variable) for variable in nodes}
    if problems := [
        problem
        for variable, key in keys.items()
        for problem in slice_problems(variable, body.nodes[nodes[variable]], serving.slices.get(key, ()))
    ]:
        raise SignatureError("the serving graph cannot be made", problems=problems)
    present = _present(trained, body, folded)
    states = _states(trained, meta_graph.saver_def, serving, present)
    served = [
        RestoreSpec(keys[name], serving.value_of(name), *_type(body.nodes[node]), serving.slices.get(keys[name], ()))
        for name, node in nodes.items()
    ]
    served += [RestoreSpec(key, key) for state in states for key in state.tensors]
    restored = with_restore_ops(
        meta_graph.graph_def,
        {keys[name]: node for name, node in nodes.items()},
        [partial(ReplayedState, state, trained, present) for state in states],
        serving.slices,
        strip_default_attrs=strip_default_attrs,
    )
    restored.meta_info_def.tags.extend(meta_graph.meta_info_def.tags)
    for described_anew in ("graph_def", "saver_def", "meta_info_def"):
        meta_graph.ClearField(described_anew)
    restored.MergeFrom(meta_graph)
    return restored, tuple(served)


def _cut(meta_graph: meta_graph_pb2.MetaGraphDef, serving: Serving) -> Folded:
    """Keep what signatures need, fold it, and rename what signatures and collections name."""
    main_ops = _main_ops(meta_graph)
    cut_at_inputs(meta_graph, main_ops)
    roots = _roots(meta_graph, main_ops)
    prune(meta_graph.graph_def, roots)
    folded = fold(meta_graph.graph_def, serving.holders, roots)
    body = Body(meta_graph.graph_def)
    nodes = _saved_variables(body, folded, serving.holders)
    if problems := [*folded.problems, *_wrong_averages(nodes, serving)]:
        raise SignatureError("the serving graph cannot be made", problems=problems)
    for signature in meta_graph.signature_def.values():
        rename_tensors(signature, partial(_new_name, folded=folded))
    pieces = {holder.node: as_node_name(holder.variable) for holder in serving.holders if holder.piece is not None}
    mend_collections(meta_graph, body, folded, pieces)
    return folded


def _main_ops(meta_graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
    """Names of the operations that loaders run."""
    key = private_api.INIT_OP_SIGNATURE_KEY
    named = all_names(meta_graph.signature_def[key]) if key in meta_graph.signature_def else ()
    return {name.removesuffix(":0") for name in (*named, *collected_main_ops(meta_graph))}


def _roots(meta_graph: meta_graph_pb2.MetaGraphDef, main_ops: Set[str]) -> list[str]:
    """What signatures name, and the main ops, which from now on fill only the tables that are needed."""
    roots = [
        name.removesuffix(":0")
        for key, signature in meta_graph.signature_def.items()
        if key != private_api.INIT_OP_SIGNATURE_KEY
        for name in all_names(signature)
    ]
    fills = meta_graph.collection_def[v1.GraphKeys.TABLE_INITIALIZERS].node_list.value
    drop_unneeded_tables(Body(meta_graph.graph_def), roots, main_ops, fills)
    return [*roots, *sorted(main_ops)]


def _new_name(name: str, folded: Folded) -> str:
    new_name = folded.names.get(name.removesuffix(":0"), name)
    return f"{new_name}:0" if ":" in name and ":" not in new_name else new_name


def _saved_variables(body: Body, folded: Folded, holders: Sequence[Holder]) -> dict[str, str]:
    """Names of the nodes of all variables that are needed, by the variables' names."""
    nodes = {
        holder.variable: as_node_name(holder.variable) if holder.piece else folded.names.get(holder.node, holder.node)
        for holder in holders
    }
    return {variable: node for variable, node in sorted(nodes.items()) if node in body.nodes}


def _wrong_averages(nodes: Mapping[str, str], serving: Serving) -> Iterator[Problem]:
    averaged = {variable: average for variable, average in serving.averages.items() if variable in nodes}
    if serving.averages and not averaged:
        what = "no variable that the signatures need has an average"
        yield Problem("moving_averages", what, "give the averages of the variables that are served")
    for variable, average in averaged.items():
        if serving.captured is not None and list(averaged.values()).count(average) > 1:
            what = f"{average!r} is the average of other variables too, and is written already, under one key"
            yield Problem(
                f"variable {variable!r}", what, "add this graph first, or give each variable an average of its own"
            )
        if average in nodes:
            what = f"the signatures need it and its average {average!r}, and both would have the same value"
            yield Problem(
                f"variable {variable!r}",
                what,
                "leave out moving_averages: the signatures read the averages themselves",
            )


def _type(variable: node_def_pb2.NodeDef) -> tuple[str, Shape | None]:
    return as_dtype(variable, "dtype").name, known_shape(variable)


def _present(trained: graph_pb2.GraphDef, body: Body, folded: Folded) -> dict[str, str]:
    """Present names of the first graph's nodes that are left, by former names."""
    taken = set(folded.names.values())
    names = {node.name: folded.names.get(node.name) for node in trained.node}
    new_names = {name: new_name or name for name, new_name in names.items() if new_name or name not in taken}
    return {name: new_name for name, new_name in new_names.items() if new_name in body.nodes}


def _states(
    trained: graph_pb2.GraphDef, saver_def: Any, serving: Serving, present: Mapping[str, str]
) -> list[SavedState]:
    """All that is saved and needed besides variables."""
    body = Body(trained)
    states = saved_states(body, saver_def, {holder.variable for holder in serving.holders})
    return [state for state in states if state.is_in(body, present.keys())]
