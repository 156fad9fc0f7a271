"""``VariableDef``: the names by which loaders find a variable's nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, variable_pb2

from autodist_saved.graph.graph_def.body import Body, as_dtype, renamed
from autodist_saved.plan import Shape
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import Node, node_of


def known_shape(variable: Node) -> Shape | None:
    """The shape of a variable; None where its node does not say."""
    shape = tf.TensorShape(variable.attr["shape"].shape)
    return tuple(shape.as_list()) if shape.is_fully_defined() else None


def mended_defs(
    serialized: Iterable[bytes], body: Body, names: Mapping[str, str], pieces: Mapping[str, str]
) -> Iterator[bytes]:
    """Yield the definitions of the variables that are in the graph, each once, with their present names.

    Args:
        serialized: the contents of a collection.
        body: the graph. Where a node is gone that a definition must name, a new one is added.
        names: new names of nodes, by former names.
        pieces: names of variables, by the former names of the nodes that were pieces of them.
    """
    seen = set()
    for one in serialized:
        definition = variable_pb2.VariableDef.FromString(one)
        former = node_of(definition.variable_name)
        name = pieces.get(former, names.get(former, former))
        if name in body.nodes and name not in seen:
            seen.add(name)
            yield _mended(definition, body, body.nodes[name], names).SerializeToString(deterministic=True)


def _mended(
    definition: variable_pb2.VariableDef, body: Body, variable: Node, names: Mapping[str, str]
) -> variable_pb2.VariableDef:
    mended = variable_pb2.VariableDef()
    mended.CopyFrom(definition)
    mended.ClearField("save_slice_info_def")
    mended.variable_name = f"{variable.name}:0"
    for field in ("initializer_name", "initial_value_name", "snapshot_name"):
        setattr(mended, field, renamed(getattr(definition, field), names))
    if node_of(mended.snapshot_name) not in body.nodes:
        mended.snapshot_name = f"{_read(body, variable)}:0"
    if not {node_of(mended.initializer_name), node_of(mended.initial_value_name)} <= body.nodes.keys():
        mended.initial_value_name, mended.initializer_name = _initializer(body, variable)
    return mended


def _read(body: Body, variable: Node) -> str:
    dtype = as_dtype(variable, "dtype")
    name = f"{variable.name}/Read/ReadVariableOp" if variable.op == "VarHandleOp" else f"{variable.name}/read"
    if name in body.nodes:
        return name
    if variable.op == "VarHandleOp":
        body.add("ReadVariableOp", name, [variable.name], dtype=dtype)
    else:
        body.add("Identity", name, [variable.name], T=dtype)
    return name


def _initializer(body: Body, variable: Node) -> tuple[str, str]:
    """Names of an initial value and of the operation that assigns it.

    The value is zero. The one that training began with may be as large as the variable, and nobody needs it again.
    """
    value, assign = f"{variable.name}/Initializer/zeros", f"{variable.name}/Assign"
    if value not in body.nodes:
        dtype = as_dtype(variable, "dtype")
        dimensions = [max(0, dimension.size) for dimension in variable.attr["shape"].shape.dim]
        if private_api.has_cpu_kernel("Fill", "T", dtype):
            shape = tf.make_tensor_proto(dimensions, tf.int64, [len(dimensions)])
            zero = tf.make_tensor_proto(b"" if dtype == tf.string else np.zeros([], dtype.as_numpy_dtype), dtype, [])
            inputs = [
                body.add("Const", f"{value}/shape_as_tensor", [], dtype=tf.int64, value=shape).name,
                body.add("Const", f"{value}/Const", [], dtype=dtype, value=zero).name,
            ]
            body.add("Fill", value, inputs, T=dtype, index_type=tf.int64)
        else:  # a graph with an op that TensorFlow cannot run does not load, even if nothing needs the op
            # What the message does not say of a tensor is zero.
            shape = variable.attr["shape"].shape
            zeros = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, tensor_shape=shape)
            body.add("Const", value, [], dtype=dtype, value=zeros)
        if variable.op == "VarHandleOp":
            body.add("AssignVariableOp", assign, [variable.name, value], dtype=dtype)
        else:
            body.add("Assign", assign, [variable.name, value], T=dtype)
    return f"{value}:0", assign
