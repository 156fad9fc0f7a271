"""A partitioned ``embedding_lookup``, as it looks in a graph.

A ``DynamicPartition`` distributes the numbers of rows to the pieces. For each piece, a node looks its rows up.
Another ``DynamicPartition`` distributes the places of the numbers in the same way. ``DynamicStitch`` puts the rows
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autodist_saved.graph.folding.region import Region
from autodist_saved.graph.graph_def.body import Body
from autodist_saved.tf_internals.graph_walk import Node, is_control


@dataclass(frozen=True)
class Lookup:
    """Rows of a region that a node looks up.

    Attributes:
        region: part of a variable.
        node: looks the rows up.
        rows: tensor with the numbers of the rows, counted within the region.
    """

    region: Region
    node: Node
    rows: str


def dealing_node(body: Body, places: Sequence[str], lookups: Sequence[Lookup]) -> Node | None:
    """Find the node that distributes the numbers of rows, if the rows are put back into the order of the numbers.

    Args:
        body: the lookups are in it.
        places: for each lookup, the tensor of the places in the result.
        lookups: in the order in which they are stitched.

    Returns:
        the ``DynamicPartition`` of the numbers; None where the graph is not what ``embedding_lookup`` makes.
    """
    if len({lookup.region.columns for lookup in lookups}) > 1:
        return None
    of_places, of_rows = _dealer(body, places), _dealer(body, [lookup.rows for lookup in lookups])
    if of_places is None or of_rows is None or of_places.input[1] != of_rows.input[1]:
        return None
    # DynamicPartition can also distribute several rows as one.
    is_dealt_singly = body.rank(of_rows.input[0]) == body.rank(of_rows.input[1]) == 1
    return of_rows if is_dealt_singly and _counts(body, of_places.input[0]) else None


def _dealer(body: Body, tensors: Sequence[str]) -> Node | None:
    """The node whose outputs are exactly these tensors, in their order; None where there is none."""
    sources = [body.source(tensor) for tensor in tensors]
    node = sources[0][0]
    if (
        node is None
        or any(map(is_control, node.input))
        or node.op != "DynamicPartition"
        or node.attr["num_partitions"].i != len(tensors)
    ):
        return None
    in_order = all(source is node and number == at for at, (source, number) in enumerate(sources))
    return node if in_order else None


def _counts(body: Body, tensor: str) -> bool:
    """Whether a tensor is 0, 1, 2, ..."""
    node, _ = body.source(tensor)
    if node is None or node.op != "Range":
        return False
    start, delta = body.value(node.input[0]), body.value(node.input[2])
    return start is not None and delta is not None and (int(start), int(delta)) == (0, 1)
