"""A graph over two gigabytes is refused with its largest constants. The limit is made small here."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from google.protobuf.message import DecodeError

from autodist_saved.errors import GraphError
from autodist_saved.graph.checks import size
from autodist_saved.graph.checks.check import check
from autodist_saved.graph.meta_graph_builder import describe
from tests.support.meta_graphs import request


def constants(*rows: int) -> None:
    for number, count in enumerate(rows):
        tf.constant(np.arange(count, dtype=np.float32), name=f"table_{number}")


def test_the_largest_constants_are_named_first(graph: tf.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    constants(500, 3000, 1000)
    monkeypatch.setattr(size, "MAX_BYTES", 15_000)
    with pytest.raises(GraphError) as caught:
        describe(request(graph))
    text = str(caught.value)
    assert "more than 15,000 bytes, and could not be read; the largest constants are 'table_1' (12,0" in text
    assert text.index("'table_1'") < text.index("'table_2'") < text.index("'table_0'")
    assert "fix: keep these values in variables" in text


def test_tensorflow_is_not_asked_for_a_graph_that_is_too_large(
    graph: tf.Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants(3000)
    monkeypatch.setattr(size, "MAX_BYTES", 10_000)
    monkeypatch.delattr(v1.train, "export_meta_graph")
    with pytest.raises(GraphError):
        describe(request(graph))


def test_a_graph_that_tensorflow_cannot_read_again_itself_is_too_large(
    graph: tf.Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants(3000)

    def export_meta_graph(**_: object) -> None:
        raise DecodeError("Wire format was corrupt")  # what comes of a graph over 2 GB

    monkeypatch.setattr(v1.train, "export_meta_graph", export_meta_graph)
    with pytest.raises(GraphError, match="the largest constants are 'table_0'"):
        describe(request(graph))


def test_one_number_that_fills_a_tensor_takes_no_room(graph: tf.Graph) -> None:
    tf.constant(0.0, shape=[2**20, 2**10], name="four_gigabytes_of_zeros")
    check(describe(request(graph)).proto, devices_cleared=True)


def test_constants_of_functions_and_strings_count(graph: tf.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    @tf.function
    def inner() -> tf.Tensor:
        return tf.constant(np.arange(3000, dtype=np.float32), name="held")

    inner()
    tf.constant("x" * 5000, name="words")
    proto = describe(request(graph)).proto
    assert 0 <= proto.ByteSize() - size.nbytes_of(proto) < 1000
    monkeypatch.setattr(size, "MAX_BYTES", 15_000)
    with pytest.raises(GraphError, match=r"are 'held' of function '__inference_inner_\d+' \(12,\d+ bytes\)"):
        check(proto, devices_cleared=True)


def test_the_meta_graphs_of_one_file_count_together(graph: tf.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    constants(3000)
    proto = describe(request(graph)).proto
    monkeypatch.setattr(size, "MAX_BYTES", 20_000)
    check(proto, devices_cleared=True)
    with pytest.raises(GraphError, match="more than 20,000 bytes"):
        check(proto, devices_cleared=True, beside_bytes=size.nbytes_of(proto))


def test_the_limit_is_that_of_protocol_buffers() -> None:
    assert size.MAX_BYTES == 2**31 - 1
