"""Tables and files of serving graphs: those that are needed, filled when the model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import saved_model_pb2

import autodist_saved as ads
from tests.support.served import ask, export, ops, signatures, variables

WORDS = [b"early", b"late", b"never"]


def file_table(path: Path, *words: str) -> tf.lookup.StaticHashTable:
    path.write_text("\n".join(words) + "\n")
    name = tf.constant(str(path))
    v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, name)
    whole, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    return tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(name, tf.string, whole, tf.int64, number), -1)


def constant_table(*words: str) -> tf.lookup.StaticHashTable:
    numbers = tf.range(len(words), dtype=tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(tf.constant(words), numbers), -1)


@pytest.mark.parametrize("serving", [True, False])
@pytest.mark.parametrize("which", [True, "cluster"])
def test_a_table_with_a_file_that_was_made_in_a_device_scope(
    graph: tf.Graph, tmp_path: Path, which: Any, serving: bool
) -> None:
    """TensorFlow names such a table after its file's tensor, and with that after the tensor's device."""
    words = v1.placeholder(tf.string, [None], "words")
    with tf.device("/job:localhost/task:0"):
        early, late = file_table(tmp_path / "early.txt", "early"), file_table(tmp_path / "late.txt", "late")
        weight = v1.get_variable("w", initializer=tf.constant(2, tf.int64))
        y = early.lookup(words) - weight * late.lookup(words)
    saver = ads.Saver()
    builder = ads.SavedModelBuilder(tmp_path / "model")
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signatures({"words": words}, {"y": y}),
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            clear_devices=which,
            saver=saver,
            serving=serving,
        )
        builder.save()
        expected = session.run(y, {words: WORDS}).tolist()
    for name in ("early.txt", "late.txt"):
        (tmp_path / name).unlink()
    answers, meta_graph = ask(tmp_path / "model", {"words": WORDS})
    assert answers["y"].tolist() == expected == [2, -1, 1]
    named = [node.attr["shared_name"].s for node in meta_graph.graph_def.node if node.op == "HashTableV2"]
    assert len(set(named)) == 2
    assert b"/job:" not in (tmp_path / "model" / "saved_model.pb").read_bytes()


@pytest.mark.parametrize("main_op", ["added by itself", "of all tables", "of all tables and more"])
def test_a_table_and_its_file_are_there_and_others_are_not(graph: tf.Graph, tmp_path: Path, main_op: str) -> None:
    served, trained = (
        file_table(tmp_path / "served.txt", "late", "early"),
        file_table(tmp_path / "trained.txt", "late"),
    )
    constant_table("trained")
    words = v1.placeholder(tf.string, [None], "words")
    weight = v1.get_variable("w", initializer=tf.constant(2, tf.int64), use_resource=True)
    y = served.lookup(words) * weight
    v1.add_to_collection("lookups", served.lookup(words))
    v1.add_to_collection("lookups", trained.lookup(words))
    given = {
        "added by itself": None,
        "of all tables": v1.tables_initializer(),
        "of all tables and more": tf.group(v1.tables_initializer(), tf.group(weight.assign_add(1).op)),
    }[main_op]
    saver = ads.Saver()
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        files = v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)
        signature_map = signatures({"words": words}, {"y": y})
        export(session, tmp_path / "model", saver, signature_map, assets_collection=files, main_op=given)
    for name in ("served.txt", "trained.txt"):
        (tmp_path / name).unlink()
    assert [path.name for path in (tmp_path / "model" / "assets").iterdir()] == ["served.txt"]
    answers, meta_graph = ask(tmp_path / "model", {"words": WORDS})
    factor = 3 if "more" in main_op else 2
    assert answers["y"].tolist() == [factor, 0, -factor]
    assert ops(meta_graph).count("HashTableV2") == 1
    for key in ("table_initializer", "asset_filepaths", "saved_model_main_op"):
        assert len(meta_graph.collection_def[key].node_list.value) == 1


def test_a_table_whose_contents_are_looked_up_in_another_one_brings_that_along(
    graph: tf.Graph, tmp_path: Path
) -> None:
    first = constant_table("early", "late")
    keys = tf.constant(["early", "late"])
    with tf.control_dependencies(v1.get_collection(v1.GraphKeys.TABLE_INITIALIZERS)):
        values = first.lookup(keys) + 5
    second = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1)
    words = v1.placeholder(tf.string, [None], "words")
    y = second.lookup(words)
    main_op = tf.group(v1.get_collection(v1.GraphKeys.TABLE_INITIALIZERS)[1])
    saver = ads.Saver(allow_empty=True)
    with v1.Session() as session:
        export(session, tmp_path / "model", saver, signatures({"words": words}, {"y": y}), main_op=main_op)
    answers, meta_graph = ask(tmp_path / "model", {"words": WORDS})
    assert answers["y"].tolist() == [5, 6, -1]
    assert ops(meta_graph).count("HashTableV2") == 2


def test_all_tables_that_are_needed_are_filled(graph: tf.Graph, tmp_path: Path) -> None:
    first, keys = constant_table("early", "late"), tf.constant(["early", "late"])
    second = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, first.lookup(keys)), -1)
    constant_table("not needed")
    words = v1.placeholder(tf.string, [None], "words")
    signature_map = signatures({"words": words}, {"y": second.lookup(words)})
    saver = ads.Saver(allow_empty=True)
    with v1.Session() as session:
        export(session, tmp_path / "model", saver, signature_map)
    model = saved_model_pb2.SavedModel.FromString((tmp_path / "model" / "saved_model.pb").read_bytes())
    nodes = {node.name: node for node in model.meta_graphs[0].graph_def.node}
    (main_op,) = model.meta_graphs[0].collection_def["saved_model_main_op"].node_list.value
    assert len(nodes[main_op].input) == 2


@pytest.mark.parametrize("way", ["", "sharded", "restore_sequentially"])
def test_a_mutable_table_is_saved_and_restored_with_its_graph(graph: tf.Graph, tmp_path: Path, way: str) -> None:
    needed = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1, name="needed")
    tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1, name="other")
    words = v1.placeholder(tf.string, [None], "words")
    pieces = v1.get_variable("w", [4], initializer=v1.ones_initializer(), partitioner=v1.fixed_size_partitioner(2))
    y = tf.cast(needed.lookup(words), tf.float32) + tf.reduce_sum(pieces.as_tensor())
    insert = needed.insert(tf.constant(["early", "late"]), tf.constant([3, 4], tf.int64))
    saver = ads.Saver(**({way: True} if way else {}))
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), insert])
        builder = ads.SavedModelBuilder(tmp_path / "model")
        signature_map: Any = signatures({"words": words}, {"y": y})
        builder.add_meta_graph_and_variables(session, ["train"], saver=saver)
        builder.add_meta_graph(["serve"], signature_map, saver=saver, serving=True)
        builder.save()
        export(session, tmp_path / "served", saver, signature_map)
    for name in ("model", "served"):
        answers, _ = ask(tmp_path / name, {"words": WORDS})
        assert answers["y"].tolist() == [7.0, 8.0, 3.0]
    assert sorted(variables(tmp_path / "served")) == ["needed-keys", "needed-values", "w"]


def test_files_that_only_training_reads_are_not_missed(
    graph: tf.Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file_table(tmp_path / "trained.txt", "late")
    served = file_table(tmp_path / "served.txt", "late")
    x, words = v1.placeholder(tf.float32, [], "x"), v1.placeholder(tf.string, [None], "words")
    y = x + v1.get_variable("w", initializer=1.0)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        export(session, tmp_path / "without", saver, signatures({"x": x}, {"y": y}))
        assert "not part of the model" not in caplog.text
        export(session, tmp_path / "with", saver, signatures({"words": words}, {"y": served.lookup(words)}))
    assert f"works on this machine only: {tmp_path}/served.txt; give the builder" in caplog.text
