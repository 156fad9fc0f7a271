"""A meta graph of one machine out of a live graph that is only read."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.graph.meta_graph_builder import describe
from autodist_saved.tf_internals.name_scope import own_scope
from tests.support.meta_graphs import request


def test_the_graph_is_only_read(graph: tf.Graph) -> None:
    main_op, train_op = tf.no_op("main"), tf.no_op("train")
    asset = tf.constant(__file__)
    graph.finalize()
    before = graph.as_graph_def().SerializeToString(deterministic=True)
    for _ in range(2):
        proto = describe(request(graph, main_op=main_op, train_op=train_op, assets_collection=[asset])).proto
        assert proto.collection_def["saved_model_main_op"].node_list.value == ["main"]
        assert proto.collection_def["saved_model_train_op"].node_list.value == ["train"]
        assert len(proto.collection_def["saved_model_assets"].any_list.value) == 1
    assert graph.as_graph_def().SerializeToString(deterministic=True) == before
    assert not list(graph.collections)


def test_the_train_signature_names_the_placeholders_that_it_needs(graph: tf.Graph) -> None:
    needed, unneeded = v1.placeholder(tf.float32, [None], "needed"), v1.placeholder(tf.float32, name="unneeded")
    with tf.control_dependencies([tf.identity(needed)]):
        train_op = tf.no_op("train")
    del unneeded
    signature = describe(request(graph, train_op=train_op)).proto.signature_def["__saved_model_train_op"]
    assert list(signature.inputs) == ["needed"]
    assert signature.inputs["needed"].name == "needed:0"
    assert signature.outputs["__saved_model_train_op"].name == "train"


def test_default_attributes_are_stripped_on_request(graph: tf.Graph) -> None:
    tf.matmul(tf.zeros([1, 1]), tf.zeros([1, 1]), name="product")

    def attributes(strip: bool) -> set[str]:
        nodes = describe(request(graph, strip_default_attrs=strip)).proto.graph_def.node
        return set(next(node for node in nodes if node.name == "product").attr)

    assert "transpose_a" in attributes(False)
    assert "transpose_a" not in attributes(True)


def test_a_main_op_may_be_a_tensor(graph: tf.Graph) -> None:
    proto = describe(request(graph, main_op=tf.constant(1, name="one"))).proto
    assert proto.collection_def["saved_model_main_op"].node_list.value == ["one:0"]


def test_files_that_are_left_out_are_told(graph: tf.Graph, caplog: pytest.LogCaptureFixture) -> None:
    v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, tf.constant(__file__))
    describe(request(graph))
    assert f"so it works on this machine only: {__file__}; give" in caplog.text
    caplog.clear()
    describe(request(graph, assets_collection=graph.get_collection(v1.GraphKeys.ASSET_FILEPATHS)))
    assert not caplog.text


def test_files_of_one_name_are_told_with_the_names_that_they_get(
    graph: tf.Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [tmp_path / folder / name for folder in "ab" for name in ("words.txt", f"{folder}.txt")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(path))
    assets = [tf.constant(str(path)) for path in paths]
    files = describe(request(graph, assets_collection=assets)).assets
    assert f"{tmp_path}/a/words.txt is assets/words.txt, {tmp_path}/b/words.txt is assets/words.txt_1" in caplog.text
    assert "a.txt" not in caplog.text
    assert files["words.txt_1"] == str(tmp_path / "b" / "words.txt")


def test_one_file_in_two_tensors_is_no_matter(graph: tf.Graph, caplog: pytest.LogCaptureFixture) -> None:
    describe(request(graph, assets_collection=[tf.constant(__file__), tf.constant(__file__)]))
    assert not caplog.text


def test_hidden_scopes_and_their_collection_are_left_out(graph: tf.Graph) -> None:
    with own_scope() as scope:
        tf.constant(1, name="hidden")
    tf.constant(1, name=f"{scope.rstrip('/')}_too")
    proto = describe(request(graph)).proto
    assert [node.name for node in proto.graph_def.node] == ["autodist_saved.ops_too"]
    assert list(graph.get_all_collection_keys())
    assert not proto.collection_def
