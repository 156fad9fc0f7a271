"""What the saver of a graph restores, read from its operations."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.bundle.slice_spec import parse_slice_spec
from autodist_saved.graph.graph_def.body import Body
from autodist_saved.graph.graph_def.variable_defs import known_shape
from autodist_saved.graph.restore_spec import RestoreSpec
from autodist_saved.plan import Shape
from autodist_saved.tf_internals.graph_walk import Node, data_inputs
from autodist_saved.tf_internals.op_types import ASSIGNMENTS, VARIABLES


def restored(meta_graph: meta_graph_pb2.MetaGraphDef) -> tuple[RestoreSpec, ...]:
    """What a loaded graph restores, each key once. ``meta_graph``: with its saver, if it has one."""
    body = Body(meta_graph.graph_def)
    needed = [body.nodes[name] for name in sorted(body.behind([meta_graph.saver_def.restore_op_name]))]
    shapes = _shapes_of_variables(body, needed)
    found: dict[str, RestoreSpec] = {}
    for reader in needed:
        if reader.op != "RestoreV2":
            continue
        keys, slices = ([tf.compat.as_text(text) for text in body.value(reader.input[at])] for at in (1, 2))
        for number, (key, piece) in enumerate(zip(keys, slices, strict=True)):
            read = found[key].slices if key in found else ()
            read += (parse_slice_spec(piece),) if piece else ()
            shape = read[-1].whole if piece else shapes.get((reader.name, number))
            dtype = tf.as_dtype(reader.attr["dtypes"].list.type[number]).name
            found[key] = RestoreSpec(key, key, dtype, shape, read)
    return tuple(found.values())


def _shapes_of_variables(body: Body, nodes: list[Node]) -> dict[tuple[str, int], Shape | None]:
    """The shape of the variable to which each output of a reader is assigned, by reader and number of the output."""
    shapes = {}
    for node in nodes:
        if node.op not in ASSIGNMENTS:
            continue
        reader, number = body.origin(data_inputs(node)[1])
        variable, _ = body.source(node.input[0])
        if reader is not None and variable is not None and variable.op in VARIABLES:
            shapes[reader.name, number] = known_shape(variable)
    return shapes
