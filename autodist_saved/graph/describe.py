"""From a live graph and a request to a ``MetaGraphDef`` of one machine."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
import tensorflow.compat.v1 as v1
from google.protobuf.any_pb2 import Any as AnyProto
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved import tensorflow_private
from autodist_saved.extra_files import ExtraFiles
from autodist_saved.graph.devices import clear_devices, mend_colocation
from autodist_saved.graph.request import MetaGraphRequest
from autodist_saved.graph.size import large_graphs_refused
from autodist_saved.graph.tables import fill_tables
from autodist_saved.graph.warmup import WARMUP_FILE, warmup_file

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MetaGraph:
    """A described graph, and the files beside it.

    Attributes:
        proto: the graph.
        assets: files that it reads; path by file name in ``assets/``.
        extra_files: files for others than the graph, by path in ``assets.extra/``.
    """

    proto: meta_graph_pb2.MetaGraphDef
    assets: Mapping[str, str]
    extra_files: ExtraFiles


def describe(
    request: MetaGraphRequest, own_scopes_collection: str, taken_extra_files: Collection[str] = ()
) -> MetaGraph:
    """Describe a graph as the model of one machine.

    Args:
        request: what is wanted.
        own_scopes_collection: the graph collection that names the scopes of ops that are no part of the model.
        taken_extra_files: what other meta graphs have put into ``assets.extra/``.

    Raises:
        SignatureError: the request does not fit the graph; all problems at once.
        GraphError: the graph is too large.
    """
    request.check(taken_extra_files)
    # TensorFlow refuses where eager execution is on, whatever graph it is given.
    with large_graphs_refused(request.graph), request.graph.as_default():
        proto = v1.train.export_meta_graph(
            saver_def=request.saver_def, strip_default_attrs=request.strip_default_attrs
        )
    _drop_scopes(proto, tuple(map(tf.compat.as_str, request.graph.get_collection(own_scopes_collection))))
    proto.collection_def.pop(own_scopes_collection, None)
    clear_devices(proto.graph_def, request.clear_devices)
    mend_colocation(proto.graph_def)
    proto.meta_info_def.tags.extend(request.tags)
    for key, signature in request.signatures.items():
        proto.signature_def[key].CopyFrom(signature)
    if main_op := fill_tables(proto, request.main_op.name if request.main_op is not None else None):
        _set_collection(proto, v1.saved_model.constants.MAIN_OP_KEY, main_op)
    if request.train_op is not None:
        _set_collection(proto, tensorflow_private.TRAIN_OP_KEY, request.train_op.name)
        signature = _train_signature(request.train_op)
        proto.signature_def[tensorflow_private.TRAIN_OP_SIGNATURE_KEY].CopyFrom(signature)
    if not request.assets and (left_out := request.graph.get_collection(v1.GraphKeys.ASSET_FILEPATHS)):
        log.warning(
            "%d files that the graph reads are not part of the model, so it works on this machine only; give the "
            "builder assets_collection=tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.ASSET_FILEPATHS)",
            len(left_out),
        )
    assets = _add_assets(proto, request)
    _warn_of_renamed(assets)
    return MetaGraph(proto, assets, _extra_files(request))


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


def _warn_of_renamed(assets: Mapping[str, str]) -> None:
    """TensorFlow numbers files that have one name and come from several directories."""
    names = Counter(Path(path).name for path in assets.values())
    if shared := [name for name, path in assets.items() if names[Path(path).name] > 1]:
        log.warning(
            "files of one name are assets, so all but one get another name: %s",
            ", ".join(f"{assets[name]} is assets/{name}" for name in shared),
        )


def _extra_files(request: MetaGraphRequest) -> ExtraFiles:
    if not request.warmup:
        return request.assets_extra
    return {**request.assets_extra, WARMUP_FILE: warmup_file(request.warmup, request.signatures)}
