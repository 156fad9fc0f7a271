"""The size of a graph. Protocol buffers end at 2 GB: a larger ``saved_model.pb`` can be written and not be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import GraphError, Problem
from autodist_saved.graph.graph_def.reach import all_ops

MAX_BYTES = 2**31 - 1
_SHOWN = 5


@contextmanager
def large_graphs_refused(graph: tf.Graph) -> Iterator[None]:
    """A context in which TensorFlow makes a ``GraphDef`` of a live graph, and fails with a clear error.

    TensorFlow writes a ``GraphDef`` over 2 GB, and then cannot parse it.

    Raises:
        GraphError: the graph is too large. Where its constants alone are too large, before TensorFlow tries.
    """
    constants = [op.outputs[0] for op in graph.get_operations() if op.type == "Const"]
    if sum(map(_nbytes_of, constants)) > MAX_BYTES:
        stored = _stored(constants)
        if sum(size for _, size in stored) > MAX_BYTES:
            raise GraphError("the graph cannot be written", problems=[_problem(stored)])
    try:
        yield
    except DecodeError as error:
        raise GraphError("the graph cannot be written", problems=[_problem(_stored(constants))]) from error


def nbytes_of(meta_graph: meta_graph_pb2.MetaGraphDef) -> int:
    """Serialized bytes of a meta graph, summed part by part: ``ByteSize`` of all of it fails over 2 GB."""
    graph_def = meta_graph.graph_def
    parts = (graph_def.node, graph_def.library.function, meta_graph.collection_def.values())
    return int(sum(part.ByteSize() for many in parts for part in many) + meta_graph.meta_info_def.ByteSize())


def size_problems(meta_graph: meta_graph_pb2.MetaGraphDef, beside_bytes: int) -> Iterator[Problem]:
    """Yield a problem where a meta graph, and ``beside_bytes`` of others in the same file, are over 2 GB."""
    if beside_bytes + nbytes_of(meta_graph) > MAX_BYTES:
        ops = all_ops(meta_graph.graph_def)
        yield _problem((str(spot), node.ByteSize()) for spot, node in ops if node.op == "Const")


def _nbytes_of(constant: tf.Tensor) -> int:
    return int((constant.shape.num_elements() or 0) * constant.dtype.size)


def _stored(constants: Iterable[tf.Tensor]) -> list[tuple[str, int]]:
    """Names of constants and their bytes in a graph. One value that fills a tensor is stored once."""
    return [(repr(tensor.op.name), tensor.op.node_def.ByteSize()) for tensor in constants]


def _problem(constants: Iterable[tuple[str, int]]) -> Problem:
    largest = sorted(constants, key=lambda constant: -constant[1])[:_SHOWN]
    return Problem(
        "saved_model.pb",
        f"it would have more than {MAX_BYTES:,} bytes, and could not be read; the largest constants are "
        + ", ".join(f"{name} ({size:,} bytes)" for name, size in largest),
        "keep these values in variables, or read them from files that are assets",
    )
