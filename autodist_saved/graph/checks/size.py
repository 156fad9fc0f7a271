"""Protocol buffers end at 2 GB: a larger ``saved_model.pb`` can be written, and nobody can read it."""

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
    """Enter it to have TensorFlow make a ``GraphDef`` of a live graph. A larger one it writes, and cannot read.

    Raises:
        GraphError: the graph is too large. Where its constants alone are, TensorFlow does not try.
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
    """Serialized bytes of a meta graph, without making them all at once, which ``ByteSize`` does."""
    graph_def = meta_graph.graph_def
    parts = (graph_def.node, graph_def.library.function, meta_graph.collection_def.values())
    return int(sum(part.ByteSize() for many in parts for part in many) + meta_graph.meta_info_def.ByteSize())


def size_problems(meta_graph: meta_graph_pb2.MetaGraphDef, beside_bytes: int) -> Iterator[Problem]:
    """A problem where a meta graph, and ``beside_bytes`` of others in the same file, are too large for it."""
    if beside_bytes + nbytes_of(meta_graph) > MAX_BYTES:
        ops = all_ops(meta_graph.graph_def)
        yield _problem((str(spot), node.ByteSize()) for spot, node in ops if node.op == "Const")


def _nbytes_of(constant: tf.Tensor) -> int:
    return int((constant.shape.num_elements() or 0) * constant.dtype.size)


def _stored(constants: Iterable[tf.Tensor]) -> list[tuple[str, int]]:
    """What constants take in a graph, which is less where one value fills a whole tensor."""
    return [(repr(tensor.op.name), tensor.op.node_def.ByteSize()) for tensor in constants]


def _problem(constants: Iterable[tuple[str, int]]) -> Problem:
    largest = sorted(constants, key=lambda constant: -constant[1])[:_SHOWN]
    return Problem(
        "saved_model.pb",
        f"it would have more than the {MAX_BYTES:,} bytes that can be read again; the largest constants are "
        + ", ".join(f"{name} ({size:,} bytes)" for name, size in largest),
        "hold these values in variables, or read them from files that are assets",
    )
