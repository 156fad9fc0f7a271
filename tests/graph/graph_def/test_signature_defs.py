"""Signatures name tensors of all kinds, and new names reach each of them."""

from __future__ import annotations

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.graph.graph_def.signature_defs import all_names, is_for_users, names_in, rename_tensors


def test_tensorflows_own_signatures_are_told_from_those_of_users() -> None:
    assert is_for_users("serving_default")
    assert not is_for_users("__saved_model_train_op")
    assert not is_for_users("__saved_model_init_op")


def test_dense_sparse_and_composite_tensors_are_named_and_renamed(graph: tf.Graph) -> None:
    dense = v1.placeholder(tf.float32, [], "dense")
    sparse = v1.sparse_placeholder(tf.float32, [2], "sparse")
    ragged = tf.ragged.constant([[1], []], name="ragged")
    signature = v1.saved_model.build_signature_def(
        {"dense": v1.saved_model.build_tensor_info(dense), "sparse": v1.saved_model.build_tensor_info(sparse)},
        {"ragged": v1.saved_model.build_tensor_info(ragged)},
        "tensorflow/serving/predict",
    )
    inputs = {"dense:0", sparse.values.name, sparse.indices.name, sparse.dense_shape.name}
    assert set(names_in(signature.inputs)) == inputs
    outputs = {ragged.flat_values.name, ragged.row_splits.name}
    assert set(all_names(signature)) == inputs | outputs
    rename_tensors(signature, lambda name: f"new/{name}")
    assert set(all_names(signature)) == {f"new/{name}" for name in inputs | outputs}
