"""What a partitioned ``embedding_lookup`` looks like in a graph.

The numbers of rows are dealt out to the pieces (``DynamicPartition``), looked up in each, and what was found is
stitched together (``DynamicStitch``) at the places of the numbers, which were dealt out in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autodist_saved.graph.folding.region import Region
from autodist_saved.graph.graph_def.body import Body
from autodist_saved.tf_internals.graph_walk import Node, is_control


@dataclass(frozen=True)
class Lookup:
    """Rows of a region that a node looks up: the node, and the numbers of the rows within the region."""

    region: Region
    node: Node
    rows: str


def dealing_node(body: Body, places: Sequence[str], lookups: Sequence[Lookup]) -> Node | None:
    """The node that deals out rows of one variable, if what is found is put back into their order.

    Args:
        body: in which they are.
        places: tensors of the places in the result, for each lookup.
        lookups: in the order in which they are stitched.

    Returns:
        the ``DynamicPartition`` of the numbers of rows, or None where something is done in another way.
    """
    if len({lookup.region.columns for lookup in lookups}) > 1:
        return None
    of_places, of_rows = _dealer(body, places), _dealer(body, [lookup.rows for lookup in lookups])
    if of_places is None or of_rows is None or of_places.input[1] != of_rows.input[1]:
        return None
    # Several rows may be dealt out as one.
    is_dealt_singly = body.rank(of_rows.input[0]) == body.rank(of_rows.input[1]) == 1
    return of_rows if is_dealt_singly and _counts(body, of_places.input[0]) else None


def _dealer(body: Body, tensors: Sequence[str]) -> Node | None:
    """The node that deals out to exactly these tensors, in their order."""
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
