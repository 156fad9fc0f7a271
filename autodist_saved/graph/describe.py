"""From a live graph and a request to a ``MetaGraphDef`` of one machine."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1
from google.protobuf.any_pb2 import Any as AnyProto
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved import tensorflow_private
from autodist_saved.graph.devices import clear_devices
from autodist_saved.graph.request import MetaGraphRequest


def describe(
    graph: tf.Graph, saver_def: Any, request: MetaGraphRequest, own_scopes_collection: str
) -> tuple[meta_graph_pb2.MetaGraphDef, dict[bytes, bytes]]:
    """Describe the graph as the model of one machine. The graph is not changed, and may be finalized.

    Args:
        graph: the job's graph.
        saver_def: ``SaverDef`` of the saver whose ops restore the variables; None for a model without variables.
        request: see there; it has been checked.
        own_scopes_collection: the graph collection that names the scopes of ops that are no part of the model.

    Returns:
        the meta graph, and the asset files to copy: source path by file name in ``assets/``.
    """
    meta_graph = v1.train.export_meta_graph(
        graph=graph, saver_def=saver_def, strip_default_attrs=request.strip_default_attrs
    )
    _drop_scopes(meta_graph, tuple(graph.get_collection(own_scopes_collection)))
    meta_graph.collection_def.pop(own_scopes_collection, None)
    if request.clear_devices:
        clear_devices(meta_graph.graph_def)
    meta_graph.meta_info_def.tags.extend(request.tags)
    for key, signature in request.signatures.items():
        meta_graph.signature_def[key].CopyFrom(signature)
    if request.main_op is not None:
        _set_collection(meta_graph, v1.saved_model.constants.MAIN_OP_KEY, request.main_op.name)
    if request.train_op is not None:
        _set_collection(meta_graph, tensorflow_private.TRAIN_OP_KEY, request.train_op.name)
        meta_graph.signature_def[tensorflow_private.TRAIN_OP_SIGNATURE_KEY].CopyFrom(
            _train_signature(request.train_op)
        )
    return meta_graph, _add_assets(meta_graph, request)


def _drop_scopes(meta_graph: meta_graph_pb2.MetaGraphDef, scopes: tuple[str, ...]) -> None:
    if not scopes:
        return
    nodes = meta_graph.graph_def.node
    kept = [node for node in nodes if not node.name.startswith(scopes)]
    del nodes[:]
    nodes.extend(kept)


def _set_collection(meta_graph: meta_graph_pb2.MetaGraphDef, key: str, name: str) -> None:
    """Make ``name`` the only member of a collection of nodes, as the loaders expect it."""
    meta_graph.collection_def[key].Clear()
    meta_graph.collection_def[key].node_list.value.append(name)


def _train_signature(train_op: tf.Operation | tf.Tensor) -> meta_graph_pb2.SignatureDef:
    """The reserved signature of a train op, with the placeholders that it needs as its inputs.

    TensorFlow's own has no inputs, and ``tf.saved_model.load`` refuses a model in which a signature depends on a
    placeholder that is none of its inputs.
    """
    key = tensorflow_private.TRAIN_OP_SIGNATURE_KEY
    signature = meta_graph_pb2.SignatureDef(method_name=key)
    signature.outputs[key].CopyFrom(_info(train_op))
    for placeholder in _placeholders_behind(train_op if isinstance(train_op, tf.Operation) else train_op.op):
        signature.inputs[placeholder.name].CopyFrom(_info(placeholder.outputs[0]))
    return signature


def _info(element: tf.Operation | tf.Tensor) -> meta_graph_pb2.TensorInfo:
    """How signatures name a tensor; an operation has neither dtype nor shape."""
    if isinstance(element, tf.Operation):
        return meta_graph_pb2.TensorInfo(name=element.name, tensor_shape=tf.TensorShape(None).as_proto())
    return meta_graph_pb2.TensorInfo(
        name=element.name, dtype=element.dtype.as_datatype_enum, tensor_shape=element.shape.as_proto()
    )


def _placeholders_behind(op: tf.Operation) -> list[tf.Operation]:
    seen, waiting, found = {op}, [op], []
    while waiting:
        current = waiting.pop()
        if current.type == "Placeholder":
            found.append(current)
        for source in (*(tensor.op for tensor in current.inputs), *current.control_inputs):
            if source not in seen:
                seen.add(source)
                waiting.append(source)
    return sorted(found, key=lambda placeholder: placeholder.name)


def _add_assets(meta_graph: meta_graph_pb2.MetaGraphDef, request: MetaGraphRequest) -> dict[bytes, bytes]:
    def add(file_name: bytes, tensor: tf.Tensor) -> None:
        asset = meta_graph_pb2.AssetFileDef(filename=tf.compat.as_text(file_name))
        asset.tensor_info.name = tensor.name
        packed = AnyProto()
        packed.Pack(asset)
        meta_graph.collection_def[v1.saved_model.constants.ASSETS_KEY].any_list.value.append(packed)

    return tensorflow_private.asset_files(request.assets or None, add)
