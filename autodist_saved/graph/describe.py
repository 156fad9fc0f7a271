"""From a live graph and a request to a ``MetaGraphDef`` of one machine."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf
import tensorflow.compat.v1 as v1
from google.protobuf.any_pb2 import Any as AnyProto
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved import tensorflow_private
from autodist_saved.graph.collection_defs import asset_names
from autodist_saved.graph.devices import clear_devices
from autodist_saved.graph.request import MetaGraphRequest
from autodist_saved.graph.serving import Served, serving_graph

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MetaGraph:
    """A described graph.

    Attributes:
        proto: the graph.
        assets: the files that it reads: path by file name in ``assets/``.
        served: what it restores, if it is a serving graph; None for a complete one.
    """

    proto: meta_graph_pb2.MetaGraphDef
    assets: Mapping[str, str]
    served: Sequence[Served] | None = None


def describe(request: MetaGraphRequest, own_scopes_collection: str) -> MetaGraph:
    """Describe a graph as the model of one machine.

    Args:
        request: what is wanted.
        own_scopes_collection: the graph collection that names the scopes of ops that are no part of the model.

    Raises:
        SignatureError: the request does not fit the graph; all problems at once.
    """
    request.check()
    with request.graph.as_default():  # TensorFlow refuses where eager execution is on, whatever graph it is given
        proto = v1.train.export_meta_graph(
            saver_def=request.saver_def, strip_default_attrs=request.strip_default_attrs
        )
    _drop_scopes(proto, tuple(map(tf.compat.as_str, request.graph.get_collection(own_scopes_collection))))
    proto.collection_def.pop(own_scopes_collection, None)
    if request.clear_devices:
        clear_devices(proto.graph_def)
    proto.meta_info_def.tags.extend(request.tags)
    for key, signature in request.signatures.items():
        proto.signature_def[key].CopyFrom(signature)
    if main_op := request.main_op.name if request.main_op is not None else _add_table_initializer(proto):
        _set_collection(proto, v1.saved_model.constants.MAIN_OP_KEY, main_op)
    if request.train_op is not None:
        _set_collection(proto, tensorflow_private.TRAIN_OP_KEY, request.train_op.name)
        signature = _train_signature(request.train_op)
        proto.signature_def[tensorflow_private.TRAIN_OP_SIGNATURE_KEY].CopyFrom(signature)
    assets = _add_assets(proto, request)
    served = None
    if request.serving is not None:
        proto, served = serving_graph(proto, request.serving, strip_default_attrs=request.strip_default_attrs)
        needed = asset_names(proto)
        assets = {name: path for name, path in assets.items() if name in needed}
    _warn_of_files(proto, request)
    return MetaGraph(proto, assets, served)


def _warn_of_files(proto: meta_graph_pb2.MetaGraphDef, request: MetaGraphRequest) -> None:
    left_out = proto.collection_def.get(v1.GraphKeys.ASSET_FILEPATHS)
    if left_out is not None and not request.assets:
        log.warning(
            "%d files that the graph reads are not part of the model, so it works on this machine only; give the "
            "builder assets_collection=tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.ASSET_FILEPATHS)",
            len(left_out.node_list.value),
        )


def _drop_scopes(meta_graph: meta_graph_pb2.MetaGraphDef, scopes: tuple[str, ...]) -> None:
    if not scopes:
        return
    nodes = meta_graph.graph_def.node
    kept = [node for node in nodes if not node.name.startswith(scopes)]
    for node in kept:
        others = [name for name in node.input if not name.removeprefix("^").startswith(scopes)]
        if len(others) < len(node.input):  # only update gates are waited for, and there is no cut of one machine
            node.input[:] = others
    del nodes[:]
    nodes.extend(kept)
    functions = meta_graph.graph_def.library.function
    used = {node.op for node in itertools.chain(nodes, *(function.node_def for function in functions))}
    ops = meta_graph.meta_info_def.stripped_op_list.op
    known = [op for op in ops if op.name in used]
    del ops[:]
    ops.extend(known)


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


def _add_assets(meta_graph: meta_graph_pb2.MetaGraphDef, request: MetaGraphRequest) -> dict[str, str]:
    def add(file_name: bytes, tensor: tf.Tensor) -> None:
        asset = meta_graph_pb2.AssetFileDef(filename=tf.compat.as_text(file_name))
        asset.tensor_info.name = tensor.name
        packed = AnyProto()
        packed.Pack(asset)
        meta_graph.collection_def[v1.saved_model.constants.ASSETS_KEY].any_list.value.append(packed)

    files = tensorflow_private.asset_files(request.assets or None, add)
    return {tf.compat.as_text(name): tf.compat.as_text(path) for name, path in files.items()}
