"""Lookup tables: a loaded model's are empty until its main op fills them. See tensorflow/serving#1731."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator

import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.graph_def.body import Body, unused
from autodist_saved.graph.graph_def.reach import Reach, Spot
from autodist_saved.tf_internals.graph_walk import data_inputs, node_of, walk

log = logging.getLogger(__name__)


def fill_tables(meta_graph: meta_graph_pb2.MetaGraphDef, main_op: str | None) -> str | None:
    """Find an op that runs the main op and fills all tables, or add one.

    The main op may fill all tables itself. Otherwise a new op runs it and the initializers that it forgets. The live
    graph needs no such op.

    Args:
        meta_graph: with the collection of its tables' initializers. The new op is added to it, and logged.
        main_op: name of the main op, or of its tensor; None where the user gives none.

    Returns:
        the op's name; None where there is neither a main op nor a table.
    """
    key = v1.GraphKeys.TABLE_INITIALIZERS
    tables = meta_graph.collection_def[key].node_list.value if key in meta_graph.collection_def else ()
    reached = Reach(meta_graph.graph_def).of([main_op] if main_op else [])
    empty = [name for name in (table.partition(":")[0] for table in tables) if Spot(name) not in reached]
    if not empty:
        return main_op
    names = {node.name for node in meta_graph.graph_def.node}
    filled = unused("init_all_tables_when_loaded", names)
    first = [main_op.partition(":")[0]] if main_op else []
    meta_graph.graph_def.node.add(name=filled, op="NoOp", input=[f"^{name}" for name in (*first, *empty)])
    if main_op:
        log.info("main_op does not run %s; loaders of the model run both, so that no table is empty", empty)
    return filled


def drop_unneeded_tables(
    body: Body, roots: Iterable[str], main_ops: Iterable[str], initializers: Iterable[str]
) -> None:
    """Change main ops, so that they fill only the tables that something needs.

    Args:
        body: the graph. The groups in main ops are edited.
        roots: names of all other tensors and operations that are needed.
        main_ops: names of the main ops.
        initializers: names of the operations that fill tables.
    """
    filled_by = defaultdict[str, list[str]](list)
    for fill in body.nodes_of(initializers):
        for table in data_inputs(body.nodes[fill])[:1]:
            filled_by[node_of(table)].append(fill)
    fills = {fill for of_table in filled_by.values() for fill in of_table}
    groups, members = body.groups(main_ops)

    def needs(name: str) -> Iterable[str]:
        # A table needs what fills it, and that may look rows up in other tables.
        return [*body.nodes_of(body.nodes[name].input), *filled_by[name]]

    others = [name for name in members if name not in fills]
    needed = set(walk([*body.nodes_of(roots), *others], needs))
    for group in groups:
        node = body.nodes[group]
        node.input[:] = [name for name in node.input if node_of(name) not in fills - needed]


MAIN_OP_COLLECTIONS = (v1.saved_model.constants.MAIN_OP_KEY, v1.saved_model.constants.LEGACY_INIT_OP_KEY)


def collected_main_ops(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    """Yield the names of main ops, or of their tensors, from the collections of a graph."""
    for key in MAIN_OP_COLLECTIONS:
        if key in meta_graph.collection_def:
            yield from meta_graph.collection_def[key].node_list.value
