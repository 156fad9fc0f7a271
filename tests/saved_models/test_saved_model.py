"""What a model says of itself is what TensorFlow sees in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

from autodist_saved.errors import BundleError, ModelError
from autodist_saved.graph.stored import saved_model_pb2
from autodist_saved.graph.stored.meta_graph import MetaGraph
from autodist_saved.saved_models.provenance import writer_of
from autodist_saved.saved_models.saved_model import open_model
from tests.support.saved_models import write_ours, write_v1, write_v2


@pytest.mark.parametrize("as_text", [False, True])
def test_signatures_and_ops_are_those_that_tensorflow_loads(tmp_path: Path, as_text: bool) -> None:
    place = write_v1(tmp_path / "1", as_text=as_text)
    (graph,) = open_model(place).graphs
    with tf.Graph().as_default() as loaded, v1.Session() as session:
        meta_graph = v1.saved_model.load(session, ["serve"], str(place))
        ops = [operation.type for operation in loaded.get_operations()]
    assert graph.tags == ("serve",)
    assert graph.tensorflow_version == tf.__version__
    assert dict(graph.op_types) == {kind: ops.count(kind) for kind in ops}
    assert graph.assets == ("words.txt",)
    assert graph.restored == {"w": ()}
    theirs = meta_graph.signature_def["serving_default"]
    ours = graph.signatures["serving_default"]
    for tensors, infos in ((ours.inputs, theirs.inputs), (ours.outputs, theirs.outputs)):
        assert {key: (one.name, one.dtype, one.shape) for key, one in tensors.items()} == {
            key: (info.name, tf.as_dtype(info.dtype).name, tuple(tf.TensorShape(info.tensor_shape)))
            for key, info in infos.items()
        }


def test_ops_in_functions_count(tmp_path: Path) -> None:
    (graph,) = open_model(write_v2(tmp_path / "1")).graphs
    assert graph.op_types["MatMul"] == 1, "it is in a function alone"
    assert graph.assets == ("words.txt",)


def test_what_has_no_fixed_shape_or_type_is_told_so(graph: tf.Graph) -> None:
    anything, handle = (
        v1.placeholder(tf.bfloat16, name="anything"),
        v1.get_variable("v", [1], use_resource=True).handle,
    )
    theirs = MetaGraphDef()
    theirs.signature_def["f"].CopyFrom(v1.saved_model.predict_signature_def({"x": anything}, {"y": handle}))
    theirs.signature_def["f"].outputs["op"].name = "train"
    function = MetaGraph(saved_model_pb2.MetaGraphDef.FromString(theirs.SerializeToString())).signatures["f"]
    assert str(function.inputs["x"]) == "bfloat16 [...] anything:0"
    assert str(function.outputs["y"]) == "resource [] v:0"
    assert str(function.outputs["op"]) == "train"


def test_a_model_may_have_no_variables(tmp_path: Path) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [2])
        builder = v1.saved_model.Builder(str(tmp_path / "1"))
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"f": v1.saved_model.predict_signature_def({"x": x}, {"y": x + 1})}
        )
        builder.save()
    assert open_model(tmp_path / "1").variables is None


def test_a_model_whose_variables_are_gone_is_damaged(tmp_path: Path) -> None:
    """TensorFlow loads it, and variables have no value then: tensorflow/tensorflow#20072."""
    place = write_v1(tmp_path / "1")
    for path in (place / "variables").iterdir():
        path.unlink()
    (place / "variables").rmdir()
    with pytest.raises(BundleError, match=r"variables.index: there is no such file"):
        open_model(place)


def test_variables_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    variables = open_model(write_ours(tmp_path / "1", w=3.0)).variables
    assert variables is not None
    assert np.array_equal(variables.read("w"), [[3.0], [3.0]])


@pytest.mark.parametrize("name", ["saved_model.pb", "saved_model.pbtxt"])
@pytest.mark.parametrize("contents", [b"", b"no graph", b"\x12\xff"])
def test_a_damaged_graph_is_named(tmp_path: Path, name: str, contents: bytes) -> None:
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(ModelError, match=rf"{name}: it .*; copy it again"):
        open_model(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").mkdir()
    with pytest.raises(ModelError, match=r"saved_model.pb: it cannot be read \(Is a directory\)"):
        open_model(tmp_path)


def test_keras_2_is_told_by_its_metadata(tmp_path: Path) -> None:
    place = write_v2(tmp_path / "1")
    (place / "keras_metadata.pb").touch()
    assert writer_of(open_model(place)).startswith("Keras 2 (")
