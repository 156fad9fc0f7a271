"""Which variables parameter servers can stage by themselves, and how they know them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved import Saver
from autodist_saved.transport.server_variable import ServerVariable

PS = "/job:ps/task:1"


def _named() -> list[ServerVariable | None]:
    return [piece.variable for piece in Saver().staging.pieces]


@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
def test_variables_are_known_by_their_names(graph: tf.Graph, use_resource: bool) -> None:
    def make(name: str, shape: list[int], dtype: tf.DType = tf.float32) -> None:
        v1.get_variable(name, shape, dtype, use_resource=use_resource)

    with tf.device(PS), v1.variable_scope("scope"):
        make("a", [2, 3])
        make("b", [], tf.int64)
        with graph.container("box"):
            make("c", [0], tf.bfloat16)
    assert _named() == [
        ServerVariable("scope/a", "", "float32", not use_resource, (2, 3)),
        ServerVariable("scope/b", "", "int64", not use_resource, ()),
        ServerVariable("scope/c", "box", "bfloat16", not use_resource, (0,)),
    ]


def test_a_reference_variable_may_have_a_name_on_its_server_that_is_not_its_own(graph: tf.Graph) -> None:
    with tf.device(PS):
        reference = tf.raw_ops.VariableV2(shape=[2], dtype=tf.float32, shared_name="shared")
    named = [piece.variable for piece in Saver({"w": reference}).staging.pieces]
    assert named == [ServerVariable("shared", "", "float32", True, (2,))]


@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
def test_partitions_are_variables(graph: tf.Graph, use_resource: bool) -> None:
    with tf.device(PS):
        v1.get_variable("t", [3, 4], partitioner=v1.fixed_size_partitioner(2, axis=1), use_resource=use_resource)
    assert _named() == [
        ServerVariable(f"t/part_{part}", "", "float32", not use_resource, (3, 2)) for part in range(2)
    ]


def test_an_imported_graph_names_the_same(graph: tf.Graph) -> None:
    with tf.device(PS):
        v1.get_variable("a", [2], use_resource=True)
        v1.get_variable("b", [2], use_resource=False)
    named = _named()
    exported = v1.train.export_meta_graph(graph=graph)
    with tf.Graph().as_default():
        v1.train.import_meta_graph(exported)
        assert _named() == named
    assert None not in named


@pytest.mark.parametrize(
    "device", ["", "/job:worker/task:0", "/job:chief", f"{PS}/device:GPU:0", f"{PS}/device:CPU:1"]
)
def test_what_is_elsewhere_is_not_named(graph: tf.Graph, device: str) -> None:
    with tf.device(device or None):
        v1.get_variable("a", [2])
        v1.get_variable("b", [2], use_resource=False)
    assert _named() == [None, None]


def test_what_is_no_plain_variable_is_not_named(graph: tf.Graph) -> None:
    with tf.device(PS):
        v1.get_variable("words", initializer=np.array([b"a"], object), use_resource=True)
        unknown = v1.placeholder_with_default(tf.zeros([2]), None)
        v1.get_variable("reference", initializer=unknown, validate_shape=False, use_resource=False)
        v1.get_variable("resource", initializer=unknown, validate_shape=False, use_resource=True)
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1, name="table")
    saver = Saver({"table": table, **{variable.op.name: variable for variable in v1.global_variables()}})
    named = {piece.name: piece.variable for piece in saver.staging.pieces}
    assert {name for name, variable in named.items() if variable} == {"resource"}
    assert named["resource"] == ServerVariable("resource", "", "float32", False, None)
