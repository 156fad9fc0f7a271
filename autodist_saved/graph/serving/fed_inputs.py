"""Inputs of signatures that the graph itself computes in training: they become placeholders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.graph_def.body import Body
from autodist_saved.graph.graph_def.reach import Reach, Spot
from autodist_saved.graph.graph_def.signature_defs import all_names, names_in, rename_tensors
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import Node, is_control, node_of
from autodist_saved.tf_internals.op_types import PLACEHOLDERS, VARIABLES

_FED_AS_THEY_ARE = VARIABLES | PLACEHOLDERS | {"PlaceholderWithDefault", "Const"}


def cut_at_inputs(meta_graph: meta_graph_pb2.MetaGraphDef, main_ops: Iterable[str]) -> None:
    """Put placeholders where signatures have inputs inside the graph, and remove what nothing needs any more.

    A tensor that another signature, or the main op, computes stays as it is. A placeholder gets the name of the
    tensor that it replaces, if that was the first output of an operation that is removed. Otherwise it gets another
    name, and the signatures name that one.

    Args:
        meta_graph: edited in place.
        main_ops: names of the operations that loaders run.
    """
    main_ops = set(main_ops)
    body = Body(meta_graph.graph_def)
    placeholders = {}
    for tensor in sorted(_fed(meta_graph, main_ops, body)):
        dtype = _dtype(body, tensor)
        if dtype is not None:
            placeholders[tensor] = _placeholder(body, tensor, dtype)
    if not placeholders:
        return
    _redirect(body, placeholders)
    _rename_in_signatures(meta_graph, placeholders)
    roots = {name for signature in meta_graph.signature_def.values() for name in all_names(signature)}
    body.prune(roots | main_ops)
    names = {
        placeholder: node_of(tensor)
        for tensor, placeholder in placeholders.items()
        if tensor.endswith(":0") and node_of(tensor) not in body.nodes
    }
    body.rename(names)
    _rename_in_signatures(meta_graph, {f"{placeholder}:0": name for placeholder, name in names.items()})


def _fed(meta_graph: meta_graph_pb2.MetaGraphDef, main_ops: set[str], body: Body) -> Iterator[str]:
    """Yield the inputs inside the graph that every signature feeds, if it reaches them at all."""
    reach = Reach(meta_graph.graph_def)
    signatures = [
        (set(names_in(signature.inputs)), reach.of_signature(signature))
        for signature in meta_graph.signature_def.values()
    ]
    signatures.append((set(), reach.of(main_ops)))
    for tensor in set().union(*(inputs for inputs, _ in signatures)):
        node = body.nodes.get(node_of(tensor))
        if node is None or node.op in _FED_AS_THEY_ARE:
            continue
        if all(tensor in inputs or Spot(node.name) not in reached for inputs, reached in signatures):
            yield tensor


def _dtype(body: Body, tensor: str) -> tf.DType | None:
    """The dtype of a tensor; None for a tensor that cannot be fed."""
    node, number = body.source(tensor)
    types = [] if node is None else _output_types(node)
    dtype = types[number] if number < len(types) else None
    return dtype if dtype not in {tf.resource, tf.variant} else None


def _output_types(node: Node) -> list[tf.DType | None]:
    """The dtypes of all outputs, None for a reference. Empty for an unknown op type."""
    definition = private_api.op_definition(node.op)
    if definition is None:
        return []
    defaults = {attribute.name: attribute.default_value for attribute in definition.attr}

    def given(key: str) -> Any:
        return node.attr[key] if key in node.attr else defaults[key]

    types: list[tf.DType | None] = []
    for output in definition.output_arg:
        if output.type_list_attr:
            types += map(tf.as_dtype, given(output.type_list_attr).list.type)
            continue
        dtype = tf.as_dtype(given(output.type_attr).type if output.type_attr else output.type)
        types += [None if output.is_ref else dtype] * (given(output.number_attr).i if output.number_attr else 1)
    return types


def _placeholder(body: Body, tensor: str, dtype: tf.DType) -> str:
    node, number = body.source(tensor)
    shapes = [] if node is None else node.attr["_output_shapes"].list.shape
    shape = tf.TensorShape(shapes[number]) if number < len(shapes) else tf.TensorShape(None)
    return str(body.add("Placeholder", f"{node_of(tensor)}/fed", [], dtype=dtype, shape=shape).name)


def _redirect(body: Body, placeholders: Mapping[str, str]) -> None:
    """Make all nodes that take a fed tensor, or wait for its node, take the placeholder."""
    instead = {body.canonical(tensor): placeholder for tensor, placeholder in placeholders.items()}
    instead |= {f"^{node_of(name)}": f"^{new}" for name, new in instead.items() if ":" not in name}
    for node in body.nodes.values():
        inputs = [instead.get(name if is_control(name) else body.canonical(name), name) for name in node.input]
        if inputs != list(node.input):
            node.input[:] = inputs


def _rename_in_signatures(meta_graph: meta_graph_pb2.MetaGraphDef, nodes: Mapping[str, str]) -> None:
    """``nodes``: by the name of a tensor, the name of the node whose first output it is now."""
    for signature in meta_graph.signature_def.values():
        rename_tensors(signature, lambda name: f"{nodes[name]}:0" if name in nodes else name)
