"""The operations that restore a serving graph's variables. TensorFlow's saver makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.bundle.slice_spec import Slice
from autodist_saved.graph.serving.variable_in_slices import VariableInSlices
from autodist_saved.tf_internals import private_api


def with_restore_ops(
    graph_def: graph_pb2.GraphDef,
    variables: Mapping[str, str],
    others: Sequence[Callable[[], private_api.SaveableObject]],
    slices: Mapping[str, Sequence[Slice]],
    *,
    strip_default_attrs: bool,
) -> meta_graph_pb2.MetaGraphDef:
    """Add operations that save and restore to a graph, and the ``SaverDef`` that names them.

    Args:
        graph_def: the graph.
        variables: names of the variables' nodes, by key.
        others: functions that return the other things to restore. They are called with the graph as the default one.
        slices: how variables are stored that are stored in slices, by key.
        strip_default_attrs: remove attributes that have their default value.

    Returns:
        a new meta graph.
    """
    with tf.Graph().as_default() as graph:
        # TensorFlow checks the whole graph here, and raises.
        tf.import_graph_def(graph_def, name="")
        saved = {
            key: _saved(graph.get_operation_by_name(node), key, slices.get(key, ()))
            for key, node in variables.items()
        }
        saved |= {saveable.name: saveable for saveable in (make() for make in others)}
        saver_def = v1.train.Saver(saved).saver_def if saved else None
        return v1.train.export_meta_graph(saver_def=saver_def, strip_default_attrs=strip_default_attrs)


def _saved(variable: tf.Operation, key: str, slices: Sequence[Slice]) -> Any:
    """What TensorFlow's saver takes for a variable."""
    value = _value(variable)
    return VariableInSlices(variable, value, key, slices) if slices else value


def _value(variable: tf.Operation) -> tf.Tensor:
    """The tensor that TensorFlow's saver takes instead of a variable object."""
    handle = variable.outputs[0]
    if variable.type != "VarHandleOp":
        return handle
    for reader in handle.consumers():
        if reader.type == "ReadVariableOp" and not reader.control_inputs:
            return reader.outputs[0]
    with v1.name_scope(f"{variable.name}/Read/"):
        return tf.raw_ops.ReadVariableOp(resource=handle, dtype=variable.get_attr("dtype"))
