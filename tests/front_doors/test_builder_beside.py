"""What a model has beside its graph and variables: fingerprint, extra files, requests that warm a server up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow_serving.apis import prediction_log_pb2

import autodist_saved as ads
from autodist_saved.errors import SignatureError, VerifyError
from autodist_saved.pipeline import export


@pytest.fixture
def model(graph: tf.Graph, tmp_path: Path) -> Any:
    """Arguments of an export, and its builder."""
    x = v1.placeholder(tf.float32, [None], "x")
    y = tf.multiply(x, v1.get_variable("w", initializer=3.0), name="y")
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        graph.builder = ads.SavedModelBuilder(tmp_path / "model")
        graph.signatures = {"predict": v1.saved_model.predict_signature_def({"x": x}, {"y": y})}
        graph.export = {"sess": session, "tags": ["serve"], "signature_def_map": graph.signatures, "saver": saver}
        yield graph


def test_a_model_has_the_fingerprint_that_tensorflow_would_give_it(model: Any, tmp_path: Path) -> None:
    model.builder.add_meta_graph_and_variables(**model.export)
    model.builder.save()
    written = tf.saved_model.experimental.read_fingerprint(str(tmp_path / "model"))
    (tmp_path / "model" / "fingerprint.pb").rename(tmp_path / "fingerprint.pb")
    from tensorflow.python.saved_model import fingerprinting_utils

    fingerprinting_utils.write_fingerprint(str(tmp_path / "model"))
    assert written == tf.saved_model.experimental.read_fingerprint(str(tmp_path / "model"))
    assert written.checkpoint_hash
    assert written.signature_def_hash


def test_models_with_other_values_have_other_fingerprints_and_one_graph(model: Any, tmp_path: Path) -> None:
    for name, value in (("first", 1.0), ("second", 2.0)):
        model.export["sess"].run(v1.global_variables()[0].assign(value))
        builder = ads.SavedModelBuilder(tmp_path / name)
        builder.add_meta_graph_and_variables(**model.export)
        builder.save()
    read = tf.saved_model.experimental.read_fingerprint
    first, second = read(str(tmp_path / "first")), read(str(tmp_path / "second"))
    assert first.checkpoint_hash != second.checkpoint_hash
    assert first.signature_def_hash == second.signature_def_hash


def test_a_model_as_text_has_no_fingerprint_as_tensorflow_has_none_for_it(model: Any, tmp_path: Path) -> None:
    model.builder.add_meta_graph_and_variables(**model.export)
    model.builder.save(as_text=True)
    assert not (tmp_path / "model" / "fingerprint.pb").exists()


def test_extra_files_are_where_they_were_asked_for(model: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("read me")
    extra = {"notes.txt": tmp_path / "notes.txt", "schema/deep/features.json": b"{}"}
    model.builder.add_meta_graph_and_variables(**model.export, assets_extra=extra)
    (tmp_path / "notes.txt").unlink()
    model.builder.add_meta_graph(["gpu"], saver=model.export["saver"], assets_extra={"schema/more": b"more"})
    model.builder.save()
    found = tmp_path / "model" / "assets.extra"
    assert (found / "notes.txt").read_text() == "read me"
    assert (found / "schema" / "deep" / "features.json").read_bytes() == b"{}"
    assert (found / "schema" / "more").read_bytes() == b"more"
    assert (found / "autodist_saved" / "manifest.json").exists()


def test_extra_files_that_are_wrong_are_all_told_before_anything_is_written(model: Any, tmp_path: Path) -> None:
    extra = {"../out": b"", "missing": tmp_path / "missing", "autodist_saved/manifest.json": b""}
    with pytest.raises(SignatureError, match=r"\(3 problems\)"):
        model.builder.add_meta_graph_and_variables(**model.export, assets_extra=extra)
    assert not list(tmp_path.iterdir())


def test_an_extra_file_of_an_earlier_meta_graph_is_not_replaced(model: Any, tmp_path: Path) -> None:
    model.builder.add_meta_graph_and_variables(**model.export, assets_extra={"a": b"first"})
    with pytest.raises(SignatureError, match="another file has this name already"):
        model.builder.add_meta_graph(["gpu"], saver=model.export["saver"], assets_extra={"a": b"second"})
    model.builder.add_meta_graph(["gpu"], saver=model.export["saver"], assets_extra={"b": b"second"})
    model.builder.save()
    assert (tmp_path / "model" / "assets.extra" / "a").read_bytes() == b"first"
    assert (tmp_path / "model" / "assets.extra" / "b").read_bytes() == b"second"


def test_an_extra_file_that_does_not_read_back_is_not_made_visible(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.builder.add_meta_graph_and_variables(**model.export, assets_extra={"a": b"whole"})
    (staged,) = tmp_path.glob(".model*/assets.extra/a")
    staged.write_bytes(b"half")
    with pytest.raises(VerifyError, match="assets.extra/a: it has 4 bytes, and 5 were exported"):
        model.builder.save()
    assert not list(tmp_path.iterdir())


def test_a_fingerprint_that_does_not_read_back_is_not_made_visible(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_back = export.read_back

    def damaged(files: Any, *arguments: Any) -> None:
        files.fingerprint.write_bytes(b"half")
        read_back(files, *arguments)

    monkeypatch.setattr(export, "read_back", damaged)
    model.builder.add_meta_graph_and_variables(**model.export)
    with pytest.raises(VerifyError, match=r"fingerprint.pb: it has 4 bytes, and"):
        model.builder.save()
    assert not list(tmp_path.iterdir())


def test_a_loaded_model_answers_its_warm_up_requests(model: Any, tmp_path: Path) -> None:
    requests = [{"x": np.float32([1.0, 2.0])}, {"x": [5.0]}]
    model.builder.add_meta_graph_and_variables(**model.export, warmup={"predict": requests})
    model.builder.save()
    file = tmp_path / "model" / "assets.extra" / "tf_serving_warmup_requests"
    answers = []
    with tf.Graph().as_default(), v1.Session() as session:
        meta_graph = v1.saved_model.load(session, ["serve"], str(tmp_path / "model"))
        for record in v1.io.tf_record_iterator(str(file)):
            asked = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            signature = meta_graph.signature_def[asked.model_spec.signature_name]
            feed = {signature.inputs[name].name: tf.make_ndarray(value) for name, value in asked.inputs.items()}
            answers.append(session.run(signature.outputs["y"].name, feed).tolist())
    assert answers == [[3.0, 6.0], [15.0]]


def test_warm_up_requests_belong_to_the_meta_graph_with_their_signature(model: Any, tmp_path: Path) -> None:
    training = {**model.export, "tags": ["train"], "signature_def_map": None}
    wanted = {"warmup": {"predict": [{"x": [1.0]}]}, "saver": model.export["saver"]}
    with pytest.raises(SignatureError, match="the signatures of this meta graph are: none"):
        ads.SavedModelBuilder(tmp_path / "refused").add_meta_graph_and_variables(**{**training, **wanted})
    model.builder.add_meta_graph_and_variables(**training)
    model.builder.add_meta_graph(["serve"], model.signatures, **wanted)
    with pytest.raises(SignatureError, match="another file has this name already"):
        model.builder.add_meta_graph(["gpu"], model.signatures, **wanted)
    model.builder.add_meta_graph(["gpu"], model.signatures, saver=model.export["saver"])
    model.builder.save()
    assert (tmp_path / "model" / "assets.extra" / "tf_serving_warmup_requests").exists()


def test_warm_up_requests_and_an_extra_file_in_their_place_are_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="another file has this name already"):
        model.builder.add_meta_graph_and_variables(
            **model.export,
            warmup={"predict": [{"x": [1.0]}]},
            assets_extra={"tf_serving_warmup_requests": b""},
        )
    assert not list(tmp_path.iterdir())
