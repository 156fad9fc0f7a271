"""The description of a ``tf.Graph``: makes a ``MetaGraphDef`` for one machine from it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.arguments.examples import Examples
from autodist_saved.graph.arguments.extra_files import ExtraFiles
from autodist_saved.graph.arguments.warmup import WARMUP_FILE, warmup_file
from autodist_saved.graph.assets import add_assets, asset_names, warn_of_left_out, warn_of_renamed
from autodist_saved.graph.checks.size import large_graphs_refused
from autodist_saved.graph.description import Description, MetaGraph
from autodist_saved.graph.graph_def.body import Body
from autodist_saved.graph.graph_def.devices import clear_devices
from autodist_saved.graph.own_ops import export_meta_graph, with_saver
from autodist_saved.graph.request import MetaGraphRequest
from autodist_saved.graph.restore_spec import RestoreSpec
from autodist_saved.graph.restored import restored
from autodist_saved.graph.serving.serving_graph import serving_graph
from autodist_saved.graph.tables import collected_main_ops, fill_tables
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import placeholders_behind

log = logging.getLogger(__name__)


class GraphDescription(Description):
    """The description of a ``tf.Graph``, which may be finalized."""

    def __init__(self, request: MetaGraphRequest) -> None:
        """Does not look at the request yet."""
        self._request = request

    @property
    def tags(self) -> Sequence[str]:
        return self._request.tags

    @property
    def signatures(self) -> Mapping[str, Any]:
        return self._request.signatures

    @property
    def examples(self) -> Examples:
        return self._request.examples

    @property
    def doubt(self) -> str:
        has_averages = self._request.serving is not None and bool(self._request.serving.averages)
        return "it has moving averages, and the job answers without them" if has_averages else ""

    def describe(self, taken_extra_files: Collection[str] = ()) -> MetaGraph:
        return describe(self._request, taken_extra_files)


def describe(request: MetaGraphRequest, taken_extra_files: Collection[str] = ()) -> MetaGraph:
    """Describe a graph as the model of one machine. Logs files that are missing, or renamed.

    Args:
        request: what to describe, and how.
        taken_extra_files: paths that other meta graphs have taken in ``assets.extra/``.

    Raises:
        SignatureError: the request does not fit the graph, or the graph cannot be cut for serving; all problems at
            once.
        GraphError: the graph is over 2 GB.
    """
    request.check(taken_extra_files)
    with large_graphs_refused(request.graph):
        proto = export_meta_graph(
            request.graph,
            saver_def=None if request.saver is None else request.saver.saver_def,
            strip_default_attrs=request.saver is not None and request.strip_default_attrs,
        )
    Body(proto.graph_def).mend_colocation()
    if request.saver is None:
        proto = with_saver(proto, strip_default_attrs=request.strip_default_attrs)
    clear_devices(proto.graph_def, request.clear_devices)
    proto.meta_info_def.tags.extend(request.tags)
    for key, signature in request.signatures.items():
        proto.signature_def[key].CopyFrom(signature)
    _add_ops(proto, request)
    assets = add_assets(proto, request.assets, as_files=bool(request.assets_list))
    served: Sequence[RestoreSpec] | None = None
    if request.serving is not None:
        proto, served = serving_graph(proto, request.serving, strip_default_attrs=request.strip_default_attrs)
        needed = asset_names(proto)
        assets = {name: path for name, path in assets.items() if name in needed}
    if not request.assets:
        warn_of_left_out(proto, request.graph)
    warn_of_renamed(assets)
    return MetaGraph(
        proto,
        assets,
        _extra_files(request),
        restored=restored(proto) if served is None else served,
        serving=served is not None,
        devices_cleared=bool(request.clear_devices),
        names_its_variables=request.saver is not None,
    )


def _add_ops(meta_graph: meta_graph_pb2.MetaGraphDef, request: MetaGraphRequest) -> None:
    """Write main op and train op where loaders look for them.

    TensorFlow's public builder writes a collection, its internal one a reserved signature. TensorFlow's loaders look
    for the signature first. Other readers know only the collection, so that is always written.
    """
    in_graph = next(collected_main_ops(meta_graph), None)
    given = in_graph if request.load_op is None else request.load_op.name
    name = fill_tables(meta_graph, given)
    if name is not None and name != in_graph:
        _set_collection(meta_graph, v1.saved_model.constants.MAIN_OP_KEY, name)
    if request.init_op is not None:
        key = private_api.INIT_OP_SIGNATURE_KEY
        signature = _op_signature(request.init_op, key)
        signature.outputs[key].name = name or ""
        meta_graph.signature_def[key].CopyFrom(signature)
    if request.train_op is not None:
        _set_collection(meta_graph, private_api.TRAIN_OP_KEY, request.train_op.name)
        key = private_api.TRAIN_OP_SIGNATURE_KEY
        meta_graph.signature_def[key].CopyFrom(_op_signature(request.train_op, key))


def _set_collection(meta_graph: meta_graph_pb2.MetaGraphDef, key: str, name: str) -> None:
    """Make ``name`` the only member of a collection of nodes. Loaders refuse more."""
    meta_graph.collection_def[key].Clear()
    meta_graph.collection_def[key].node_list.value.append(name)


def _op_signature(op: tf.Operation | tf.Tensor, key: str) -> meta_graph_pb2.SignatureDef:
    """Make the reserved signature of an op. Its inputs are the placeholders that the op needs.

    TensorFlow gives it no inputs, and then ``tf.saved_model.load`` refuses the model if the op needs a placeholder.
    """
    signature = meta_graph_pb2.SignatureDef(method_name=key)
    signature.outputs[key].CopyFrom(_info(op))
    for placeholder in placeholders_behind(op if isinstance(op, tf.Operation) else op.op):
        signature.inputs[placeholder.name].CopyFrom(_info(placeholder.outputs[0]))
    return signature


def _info(element: tf.Operation | tf.Tensor) -> meta_graph_pb2.TensorInfo:
    """Make the ``TensorInfo`` of a tensor, or of an operation, which has neither dtype nor shape."""
    if isinstance(element, tf.Operation):
        return meta_graph_pb2.TensorInfo(name=element.name, tensor_shape=tf.TensorShape(None).as_proto())
    return meta_graph_pb2.TensorInfo(
        name=element.name, dtype=element.dtype.as_datatype_enum, tensor_shape=element.shape.as_proto()
    )


def _extra_files(request: MetaGraphRequest) -> ExtraFiles:
    if not request.warmup:
        return request.assets_extra
    return {**request.assets_extra, WARMUP_FILE: warmup_file(request.warmup, request.signatures)}
