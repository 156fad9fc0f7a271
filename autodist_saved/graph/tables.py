"""The initializers of lookup tables in a graph that is cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autodist_saved.graph.body import Body, data_inputs, is_control, node_of


def drop_unneeded_tables(
    body: Body, roots: Iterable[str], main_ops: Iterable[str], initializers: Iterable[str]
) -> None:
    """Have main ops fill no table but those that are needed.

    Args:
        body: the graph; the groups that main ops consist of are edited.
        roots: names of all other tensors and operations that are needed.
        main_ops: their names.
        initializers: names of the operations that fill tables.
    """
    fills = {node_of(name) for name in initializers} & body.nodes.keys()
    groups = _groups(body, map(node_of, main_ops))
    members = {node_of(name) for group in groups for name in body.nodes[group].input} - fills - set(groups)
    needed = _needed(body, [*roots, *members], fills)
    for group in groups:
        node = body.nodes[group]
        node.input[:] = [name for name in node.input if node_of(name) not in fills - needed]


def _groups(body: Body, names: Iterable[str]) -> list[str]:
    """The groups of operations that operations are, or consist of."""
    waiting, found = list(names), list[str]()
    while waiting:
        node = body.nodes.get(waiting.pop())
        if node is not None and node.op == "NoOp" and node.name not in found:
            found.append(node.name)
            waiting.extend(node_of(name) for name in node.input if is_control(name))
    return found


def _needed(body: Body, roots: Sequence[str], fills: set[str]) -> set[str]:
    """Those that fill a table which is needed: by the roots, or by what fills another such table."""
    needed: set[str] = set()
    while True:
        kept = body.behind([*map(node_of, roots), *needed])
        found = {name for name in fills if (inputs := data_inputs(body.nodes[name])) and node_of(inputs[0]) in kept}
        if found <= needed:
            return needed
        needed |= found
