"""Files that a graph reads: the collection of TensorFlow's public builder and the field of its internal one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import meta_graph_pb2

import autodist_saved as ads
from tests.tensorflow_behaviour.models import add_and_save, global_values, loaded, variables

FORMS = pytest.mark.parametrize("form", ["assets_collection", "assets_list"])
FILE_PATHS = v1.GraphKeys.ASSET_FILEPATHS


def asset(path: Path, text: str, name: str = "asset") -> tf.Tensor:
    """A constant that names a new file; it is in the collection of assets."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    tensor = tf.constant(str(path), name=name)
    v1.add_to_collection(FILE_PATHS, tensor)
    return tensor


def written(model: Path, meta_graph: Any, form: str) -> list[tuple[str, str, str]]:
    """Tensor, file name and contents of all assets, where that form writes them."""
    definitions = list(meta_graph.asset_file_def)
    packed = meta_graph.collection_def[v1.saved_model.constants.ASSETS_KEY].any_list.value
    unpacked = [meta_graph_pb2.AssetFileDef() for _ in packed]
    for message, one in zip(packed, unpacked, strict=True):
        assert message.Unpack(one)
    assert definitions == (unpacked if form == "assets_list" else [])
    return [(one.tensor_info.name, one.filename, (model / "assets" / one.filename).read_text()) for one in unpacked]


@FORMS
def test_assets_come_with_the_model_and_are_named(form: str, tmp_path: Path) -> None:
    (tmp_path / "ignored.txt").write_text("ignored")
    with variables(v1.Variable, v=42) as session:
        asset(tmp_path / "words.txt", "late")
        add_and_save(tmp_path / "model", session, ["serve"], **{form: v1.get_collection(FILE_PATHS)})
    with loaded(tmp_path / "model", "serve") as (_, meta_graph):
        assert written(tmp_path / "model", meta_graph, form) == [("asset:0", "words.txt", "late")]
    assert [path.name for path in (tmp_path / "model" / "assets").iterdir()] == ["words.txt"]


@FORMS
@pytest.mark.parametrize(
    ("places", "texts", "names"),
    [
        ("ab", "xy", ["f", "f_1"]),
        ("abcd", "wxyz", ["f", "f_1", "f_2", "f_3"]),
        ("aa", "xx", ["f", "f"]),
        ("ab", "xx", ["f", "f"]),
    ],
    ids=["other contents", "many", "one file", "same contents"],
)
def test_files_of_one_name_are_renamed_unless_they_are_the_same(
    form: str, places: str, texts: str, names: list[str], tmp_path: Path
) -> None:
    with variables(v1.Variable, v=42) as session:
        assets = [
            asset(tmp_path / place / "f", text, f"asset{number}")
            for number, (place, text) in enumerate(zip(places, texts, strict=True))
        ]
        add_and_save(tmp_path / "model", session, ["serve"], **{form: assets})
    with loaded(tmp_path / "model", "serve") as (_, meta_graph):
        assert written(tmp_path / "model", meta_graph, form) == [
            (f"asset{number}:0", name, text) for number, (name, text) in enumerate(zip(names, texts, strict=True))
        ]
    assert sorted(path.name for path in (tmp_path / "model" / "assets").iterdir()) == sorted({*names})


@FORMS
@pytest.mark.parametrize("second", ["bar.txt", "foo.txt"])
def test_of_two_meta_graphs_the_first_file_of_a_name_is_kept(form: str, second: str, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with variables(v1.Variable, v=42) as session:
        assets = [asset(tmp_path / "foo.txt", "of foo")]
        builder.add_meta_graph_and_variables(session, ["foo"], saver=ads.Saver(), **{form: assets})
    with variables(v1.Variable, v=42):
        builder.add_meta_graph(["bar"], **{form: [asset(tmp_path / second, "of bar")]})
    builder.save()
    with loaded(tmp_path / "model", "foo") as (_, meta_graph):
        assert written(tmp_path / "model", meta_graph, form) == [("asset:0", "foo.txt", "of foo")]
    with loaded(tmp_path / "model", "bar") as (_, meta_graph):
        text = "of foo" if second == "foo.txt" else "of bar"
        assert written(tmp_path / "model", meta_graph, form) == [("asset:0", second, text)]


@FORMS
@pytest.mark.parametrize("scope", [None, "scope"])
def test_a_loaded_model_reads_its_own_files(form: str, scope: str | None, tmp_path: Path) -> None:
    with variables(v1.Variable, v=42) as session:
        path = asset(tmp_path / "words.txt", "late\nearly\n")
        whole_line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        lines = tf.lookup.TextFileInitializer(path, tf.string, whole_line, tf.int64, number)
        tf.identity(tf.lookup.StaticHashTable(lines, -1).lookup(tf.constant(["early", "x"])), "found")
        op = "main_op" if form == "assets_collection" else "init_op"
        arguments = {form: [path], op: v1.tables_initializer()}
        add_and_save(tmp_path / "model", session, ["serve"], **arguments)
    (tmp_path / "words.txt").unlink()
    prefix = "" if scope is None else f"{scope}/"
    with loaded(tmp_path / "model", "serve", scope=scope) as (session, _):
        assert session.run(f"{prefix}found:0").tolist() == [1, -1]
        assert global_values(session) == {f"{prefix}v": 42}
        (name,) = {tensor.name for tensor in v1.get_collection(FILE_PATHS)}
        assert name == f"{prefix}asset:0"
        assert session.run(name) == str(tmp_path / "words.txt").encode()


def test_a_loaded_model_is_exported_again_without_the_files_that_it_was_loaded_from(tmp_path: Path) -> None:
    with variables(v1.Variable, v=42) as session:
        add_and_save(tmp_path / "first", session, ["serve"], assets_collection=[asset(tmp_path / "words.txt", "a")])
    with loaded(tmp_path / "first", "serve") as (session, _):
        add_and_save(tmp_path / "second", session, ["serve"])
    with loaded(tmp_path / "second", "serve") as (_, meta_graph):
        assert not written(tmp_path / "second", meta_graph, "assets_collection")


def test_both_forms_name_the_same_assets(tmp_path: Path) -> None:
    with variables(v1.Variable, v=42) as session:
        one, two = asset(tmp_path / "a", "a", "one"), asset(tmp_path / "b", "b", "two")
        saver, builder = ads.Saver(), ads.SavedModelBuilder(str(tmp_path / "model"))
        with pytest.raises(ValueError, match="assets_list: it differs from assets_collection"):
            builder.add_meta_graph_and_variables(session, ["a"], [], [one], assets_list=[two], saver=saver)
        builder.add_meta_graph_and_variables(session, ["a"], [], [one, two], assets_list=[two, one], saver=saver)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: "words.txt", "must be a Tensor"),
        (lambda: v1.placeholder(tf.string, []), "must be of type constant"),
        (lambda: tf.constant(3), "must be of dtype string"),
        (lambda: tf.constant(["a", "b"]), "must be a scalar"),
    ],
    ids=["text", "placeholder", "number", "several"],
)
def test_assets_are_constant_scalar_strings(make: Any, told: str, tmp_path: Path) -> None:
    with variables(v1.Variable, v=42) as session:
        builder = ads.SavedModelBuilder(str(tmp_path / "model"))
        with pytest.raises(TypeError, match=told):
            builder.add_meta_graph_and_variables(session, ["a"], assets_list=[make()], saver=ads.Saver())
