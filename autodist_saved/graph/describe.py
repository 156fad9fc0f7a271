"""From a live graph and a request to a ``MetaGraphDef`` of one machine."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import tensorflow as tf
import tensorflow.compat.v1 as v1
from google.protobuf.any_pb2 import Any as AnyProto
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved import tensorflow_private
from autodist_saved.graph.devices import clear_devices
from autodist_saved.graph.own_ops import export_meta_graph
from autodist_saved.graph.own_saver import with_saver
from autodist_saved.graph.request import MAIN_OP_COLLECTIONS, MetaGraphRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MetaGraph:
    """A described graph, and the files that it reads: path by file name in ``assets/``."""

    proto: meta_graph_pb2.MetaGraphDef
    assets: Mapping[str, str]


def describe(request: MetaGraphRequest, own_scopes_collection: str) -> MetaGraph:
    """Describe a graph as the model of one machine.

    Args:
        request: what is wanted.
        own_scopes_collection: the graph collection that names the scopes of ops that are no part of the model.

    Raises:
        SignatureError: the request does not fit the graph; all problems at once.
    """
    request.check()
    proto = export_meta_graph(
        request.graph,
        own_scopes_collection,
        saver_def=None if request.saver is None else request.saver.saver_def,
        strip_default_attrs=request.saver is not None and request.strip_default_attrs,
    )
    if request.saver is None:
        proto = with_saver(proto, strip_default_attrs=request.strip_default_attrs)
    if request.clear_devices:
        clear_devices(proto.graph_def)
    proto.meta_info_def.tags.extend(request.tags)
    for key, signature in request.signatures.items():
        proto.signature_def[key].CopyFrom(signature)
    _add_ops(proto, request)
    if not request.assets and (left_out := request.graph.get_collection(v1.GraphKeys.ASSET_FILEPATHS)):
        log.warning(
            "%d files that the graph reads are not part of the model, so it works on this machine only; give the "
            "builder assets_collection=tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.ASSET_FILEPATHS)",
            len(left_out),
        )
    return MetaGraph(proto, _add_assets(proto, request))


def _add_ops(meta_graph: meta_graph_pb2.MetaGraphDef, request: MetaGraphRequest) -> None:
    """Write the ops where loaders look for them.

    TensorFlow's public builder writes a collection, its internal one a reserved signature. Its loaders look for the
    signature first, other readers know the collection alone, which is therefore written in any case.
    """
    if request.load_op is not None:
        _set_collection(meta_graph, v1.saved_model.constants.MAIN_OP_KEY, request.load_op.name)
    elif not any(key in meta_graph.collection_def for key in MAIN_OP_COLLECTIONS) and (
        initializer := _add_table_initializer(meta_graph)
    ):
        _set_collection(meta_graph, v1.saved_model.constants.MAIN_OP_KEY, initializer)
    if request.init_op is not None:
        key = tensorflow_private.INIT_OP_SIGNATURE_KEY
        meta_graph.signature_def[key].CopyFrom(_op_signature(request.init_op, key))
    if request.train_op is not None:
        _set_collection(meta_graph, tensorflow_private.TRAIN_OP_KEY, request.train_op.name)
        key = tensorflow_private.TRAIN_OP_SIGNATURE_KEY
        meta_graph.signature_def[key].CopyFrom(_op_signature(request.train_op, key))


def _add_table_initializer(meta_graph: meta_graph_pb2.MetaGraphDef) -> str | None:
    """Lookup tables are empty when a model is loaded, unless its main op fills them: one that does, where they are.

    It is added to the copy, so it needs no op in the live graph. See tensorflow/serving#1731.
    """
    tables = meta_graph.collection_def[v1.GraphKeys.TABLE_INITIALIZERS].node_list.value
    if not tables:
        meta_graph.collection_def.pop(v1.GraphKeys.TABLE_INITIALIZERS)
        return None
    names = {node.name for node in meta_graph.graph_def.node}
    name = next(name for name in _numbered("init_all_tables_when_loaded") if name not in names)
    meta_graph.graph_def.node.add(name=name, op="NoOp", input=[f"^{table.partition(':')[0]}" for table in tables])
    return name


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in itertools.count(1):
        yield f"{name}_{number}"


def _set_collection(meta_graph: meta_graph_pb2.MetaGraphDef, key: str, name: str) -> None:
    """Make ``name`` the only member of a collection of nodes, as the loaders expect it."""
    meta_graph.collection_def[key].Clear()
    meta_graph.collection_def[key].node_list.value.append(name)


def _op_signature(op: tf.Operation | tf.Tensor, key: str) -> meta_graph_pb2.SignatureDef:
    """The reserved signature of an op, with the placeholders that it needs as its inputs.

    TensorFlow's own has no inputs, and ``tf.saved_model.load`` refuses a model in which a signature depends on a
    placeholder that is none of its inputs.
    """
    signature = meta_graph_pb2.SignatureDef(method_name=key)
    signature.outputs[key].CopyFrom(_info(op))
    for placeholder in _placeholders_behind(op if isinstance(op, tf.Operation) else op.op):
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


def _add_assets(meta_graph: meta_graph_pb2.MetaGraphDef, request: MetaGraphRequest) -> dict[str, str]:
    key = v1.saved_model.constants.ASSETS_KEY
    meta_graph.collection_def.pop(key, None)  # files of a model that this graph was loaded from

    def add(file_name: bytes, tensor: tf.Tensor) -> None:
        asset = meta_graph_pb2.AssetFileDef(filename=tf.compat.as_text(file_name))
        asset.tensor_info.name = tensor.name
        packed = AnyProto()
        packed.Pack(asset)
        meta_graph.collection_def[key].any_list.value.append(packed)
        if request.assets_list:
            meta_graph.asset_file_def.append(asset)

    files = tensorflow_private.asset_files(request.assets or None, add)
    return {tf.compat.as_text(name): tf.compat.as_text(path) for name, path in files.items()}
