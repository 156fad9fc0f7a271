"""The collections of a graph that was cut: they name only what is in the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from google.protobuf.any_pb2 import Any as AnyProto
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.assets import asset_in
from autodist_saved.graph.folding.fold import Folded
from autodist_saved.graph.graph_def.body import Body, renamed
from autodist_saved.graph.graph_def.variable_defs import mended_defs
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import node_of


def mend_collections(
    meta_graph: meta_graph_pb2.MetaGraphDef, body: Body, folded: Folded, pieces: Mapping[str, str]
) -> None:
    """Remove from the collections, and from the assets, what is not in the graph any more.

    Collections of queue runners, and of the contexts of loops and branches, are removed as a whole.

    Args:
        meta_graph: edited in place.
        body: its graph. Where a node is gone that the definition of a variable must name, a new one is added.
        folded: how folding has changed the graph.
        pieces: names of variables, by the former names of the nodes that were pieces of them.
    """
    for key, collection in list(meta_graph.collection_def.items()):
        kind = collection.WhichOneof("kind")
        if kind in {"int64_list", "float_list"}:
            continue
        values: list[object] = []
        if kind == "node_list":
            values += _nodes(collection.node_list.value, body, folded)
        elif kind == "any_list":
            values += [value for value in collection.any_list.value if _is_of(value, body)]
        elif private_api.collection_proto_type(key) is variable_pb2.VariableDef:
            values += mended_defs(collection.bytes_list.value, body, folded.names, pieces)
        elif kind == "bytes_list" and private_api.collection_proto_type(key) is None:
            continue
        if not values:
            del meta_graph.collection_def[key]
            continue
        members = getattr(collection, str(kind)).value
        del members[:]
        members.extend(values)
    files = [asset for asset in meta_graph.asset_file_def if node_of(asset.tensor_info.name) in body.nodes]
    del meta_graph.asset_file_def[:]
    meta_graph.asset_file_def.extend(files)


def _nodes(names: Iterable[str], body: Body, folded: Folded) -> Iterator[str]:
    kept = {
        renamed(name, folded.names): None
        for name in names
        if body.canonical(name) not in folded.changed and node_of(renamed(name, folded.names)) in body.nodes
    }
    yield from kept


def _is_of(value: AnyProto, body: Body) -> bool:
    asset = asset_in(value)
    return asset is None or node_of(asset.tensor_info.name) in body.nodes
