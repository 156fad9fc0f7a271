"""Saving: what is written after a meta graph was refused, where, and in which form."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.python.saved_model.pywrap_saved_model import metrics

import autodist_saved as ads
from autodist_saved.errors import ImageFormatError, SignatureError, UsageError
from tests.support.served import ask, signatures

Start = Callable[..., ads.SavedModelBuilder]
WRONG: Any = {"serving_default": "y:0"}


@pytest.fixture
def right(graph: tf.Graph) -> dict[str, Any]:
    x = v1.placeholder(tf.float32, [None], "x")
    return signatures({"x": x}, {"y": tf.multiply(x, v1.get_variable("w", initializer=2.0), name="y")})


@pytest.fixture
def start(right: dict[str, Any]) -> Any:
    """A builder to which the first meta graph was added."""
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())

        def start(place: Any, kind: Any = ads.SavedModelBuilder) -> Any:
            builder = kind(place)
            own = saver if kind is ads.SavedModelBuilder else v1.train.Saver()
            builder.add_meta_graph_and_variables(session, ["train"], right, saver=own)
            return builder

        yield start


@pytest.mark.parametrize("form", ["add_meta_graph", "add_meta_graph_from"])
def test_a_model_does_not_appear_without_the_meta_graph_that_was_refused(
    start: Start, tmp_path: Path, form: str
) -> None:
    builder = start(tmp_path / "model")
    with pytest.raises(SignatureError):
        getattr(builder, form)(WRONG if form == "add_meta_graph" else lambda: WRONG, ["serve"])
    with pytest.raises(UsageError, match=rf"a meta graph is missing: {form}\(.* has raised SignatureError"):
        builder.save()
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="make another builder"):
        builder.save()


def test_a_function_that_raises_leaves_its_meta_graph_out_as_well(start: Start, tmp_path: Path) -> None:
    builder = start(tmp_path / "model")
    with pytest.raises(ZeroDivisionError):
        builder.add_meta_graph_from(lambda: 1 / 0, ["serve"])  # type: ignore[arg-type, return-value]
    with pytest.raises(UsageError, match="has raised ZeroDivisionError"):
        builder.save()


def test_a_refused_meta_graph_may_be_added_corrected(start: Start, right: dict[str, Any], tmp_path: Path) -> None:
    builder = start(tmp_path / "model")
    with pytest.raises(SignatureError):
        builder.add_meta_graph(["serve"], WRONG)
    builder.add_meta_graph(["serve"], right)
    builder.save()
    assert ask(tmp_path / "model", {"x": [3.0]})[0]["y"] == [6.0]


def test_an_error_after_saving_says_that_it_is_saved(start: Start, tmp_path: Path) -> None:
    builder = start(tmp_path / "model")
    builder.save()
    with pytest.raises(SignatureError):
        builder.add_meta_graph(["serve"], WRONG)
    with pytest.raises(UsageError, match="this model is saved already"):
        builder.save()


def test_a_second_meta_graph_of_the_same_tags_is_written_and_warned_of(
    start: Start, right: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    builder = start(tmp_path / "model")
    builder.add_meta_graph(["train", "gpu"], right)
    assert "tags" not in caplog.text
    builder.add_meta_graph(["gpu", "train"], {"second": right["serving_default"]})
    assert caplog.text.count("an earlier one has its tags, 'gpu', 'train', and loaders take the first") == 1
    builder.save()
    assert ask(tmp_path / "model", {"x": [3.0]}, ["train", "gpu"])[0]["y"] == [6.0]


def test_arguments_are_tensorflows() -> None:
    ours, theirs = (
        [(one.name, one.default) for one in inspect.signature(kind.save).parameters.values()]
        for kind in (ads.SavedModelBuilder, v1.saved_model.Builder)
    )
    assert ours == theirs


@pytest.mark.parametrize("kind", [ads.SavedModelBuilder, v1.saved_model.Builder])
def test_tensorflow_counts_what_is_saved(start: Start, right: dict[str, Any], tmp_path: Path, kind: Any) -> None:
    def counted() -> tuple[int, int]:
        return metrics.GetWriteApi("save_v1_builder"), metrics.GetWrite(write_version="1")

    calls, models = counted()
    builder = start(str(tmp_path / "model"), kind)
    assert counted() == (calls, models)
    builder.save()
    assert counted() == (calls + 1, models + 1)
    if kind is ads.SavedModelBuilder:
        with pytest.raises(UsageError):
            builder.save()
        assert counted() == (calls + 1, models + 1)


@pytest.mark.parametrize("assets", [False, True])
def test_it_has_the_attributes_of_tensorflows_builder(
    start: Start, right: dict[str, Any], tmp_path: Path, assets: bool
) -> None:
    """Subclasses of TensorFlow's builder, and their tests, read them."""
    (tmp_path / "words.txt").write_text("a")
    collection = [tf.constant(str(tmp_path / "words.txt"))] if assets else None
    saver, stock = ads.Saver(), v1.train.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        found = []
        for kind, own in ((ads.SavedModelBuilder, saver), (v1.saved_model.Builder, stock)):
            place = str(tmp_path / kind.__module__)
            builder = kind(place)
            seen = [_attributes(builder, place)]
            builder.add_meta_graph_and_variables(session, ["train"], right, collection, saver=own)
            seen.append(_attributes(builder, place))
            builder.save()
            seen.append(_attributes(builder, place))
            found.append(seen)
    ours, theirs = found
    assert ours == theirs
    assert [one["_has_saved_variables"] for one in ours] == [False, True, True]


def _attributes(builder: Any, place: str) -> dict[str, Any]:
    """What TensorFlow's builder keeps, as far as it does not depend on the place or the restore ops."""
    names = vars(v1.saved_model.Builder(f"{place}-empty")).keys()
    values = {name: getattr(builder, name) for name in names}
    saved_model = values["_saved_model"]
    values["_saved_model"] = (
        saved_model.saved_model_schema_version,
        [(*one.meta_info_def.tags, *one.signature_def) for one in saved_model.meta_graphs],
    )
    values["_export_dir"] = Path(values["_export_dir"]).relative_to(place)
    values["_saved_asset_files"] = {Path(os.fsdecode(one)).relative_to(place) for one in values["_saved_asset_files"]}
    return values


@pytest.mark.parametrize("kind", [ads.SavedModelBuilder, v1.saved_model.Builder])
def test_the_image_format_is_refused_as_tensorflow_refuses_it(start: Start, tmp_path: Path, kind: Any) -> None:
    with pytest.raises(RuntimeError, match="No proto_splitter is provided") as caught:
        start(str(tmp_path / "refused"), kind).save(False, True, "zstd")
    if kind is ads.SavedModelBuilder:
        assert isinstance(caught.value, ImageFormatError)
        assert not list(tmp_path.iterdir())
    assert start(str(tmp_path / "text"), kind).save(True, True, "zstd") == os.fsencode(
        tmp_path / "text/saved_model.pbtxt"
    )


@pytest.mark.parametrize("place", ["model", "a/model", "./model/", b"model", Path("model")])
def test_the_path_is_below_the_directory_as_it_was_given(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any
) -> None:
    paths = []
    for folder, kind in (("ours", ads.SavedModelBuilder), ("theirs", v1.saved_model.Builder)):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        paths.append(start(place if kind is ads.SavedModelBuilder else os.fsdecode(place), kind).save())
        assert Path(os.fsdecode(paths[-1])).is_file()
    assert paths[0] == paths[1]


def test_a_task_that_does_nothing_says_so_once(
    graph: tf.Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    v1.get_variable("w", initializer=2.0)
    saver = ads.Saver()
    cluster = ads.Cluster.local(ps=1, workers=8, chief=True).for_task(ads.Task("worker", 7))
    caplog.set_level(logging.INFO)
    with v1.Session() as session:
        for number in range(3):
            builder = ads.SavedModelBuilder(tmp_path / str(number), cluster=cluster)
            builder.add_meta_graph_and_variables(session, ["serve"], saver=saver)
            builder.save()
    assert caplog.text.count("worker:7 does nothing") == 1
