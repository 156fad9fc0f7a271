"""Main ops: what is run when a model is loaded, and the collections that name it."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import meta_graph_pb2

MAIN_OP_COLLECTIONS = (v1.saved_model.constants.MAIN_OP_KEY, v1.saved_model.constants.LEGACY_INIT_OP_KEY)


def collected_main_ops(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    """What the collections of a graph name: operations, or tensors."""
    for key in MAIN_OP_COLLECTIONS:
        if key in meta_graph.collection_def:
            yield from meta_graph.collection_def[key].node_list.value
