"""What TensorFlow's loaders, tools and builder make of our models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.python.saved_model import loader_impl

import autodist_saved as ads
from tests.tensorflow_behaviour.models import add_and_save, fresh_session, global_values, loaded, variables

Variable = Callable[..., Any]


@pytest.fixture
def model(variable: Variable, tmp_path: Path) -> Path:
    """A model of ``x + y``, 5 and 11, whose main op sets ``y`` to 7."""
    with variables(variable, x=5, y=11) as session:
        x, y = v1.global_variables()
        z = tf.add(x, y, name="z")
        signature = v1.saved_model.build_signature_def(outputs={"z": v1.saved_model.build_tensor_info(z)})
        main_op = tf.group(v1.assign(y, 7))
        add_and_save(tmp_path / "model", session, ["foo"], signature_def_map={"sum": signature}, main_op=main_op)
    return tmp_path / "model"


def test_they_know_a_model_when_they_see_one(model: Path, tmp_path: Path) -> None:
    assert v1.saved_model.contains_saved_model(str(model))
    assert not v1.saved_model.contains_saved_model(str(tmp_path))
    assert not v1.saved_model.contains_saved_model("nowhere")


def test_a_model_that_was_not_saved_is_none(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1) as session:
        builder = ads.SavedModelBuilder(str(tmp_path / "model"))
        builder.add_meta_graph_and_variables(session, ["foo"], saver=ads.Saver())
        assert not v1.saved_model.contains_saved_model(str(tmp_path / "model"))
        with pytest.raises(IOError, match="SavedModel file does not exist at"), loaded(tmp_path / "model", "foo"):
            pass


def test_the_steps_of_loading_can_be_taken_one_by_one(model: Path) -> None:
    loader = loader_impl.SavedModelLoader(str(model))
    assert list(loader.get_meta_graph_def_from_tags(["foo"]).signature_def) == ["sum"]
    with fresh_session() as session:
        saver, _ = loader.load_graph(session.graph, ["foo"])
        assert session.run(v1.report_uninitialized_variables()).tolist() == [b"x", b"y"]
        loader.restore_variables(session, saver)
        assert global_values(session) == {"x": 5, "y": 11}
        loader.run_init_ops(session, ["foo"])
        assert global_values(session) == {"x": 5, "y": 7}


def test_elements_of_the_graph_are_returned(model: Path) -> None:
    with tf.Graph().as_default() as graph:
        _, (z,) = loader_impl.SavedModelLoader(str(model)).load_graph(graph, ["foo"], return_elements=["z:0"])
        assert z is graph.get_tensor_by_name("z:0")


def test_variables_are_restored_into_a_graph_of_ones_own(variable: Variable, model: Path) -> None:
    loader = loader_impl.SavedModelLoader(str(model))
    with variables(variable, x=0, y=0) as session:
        with pytest.raises(ValueError, match="a saver is required"):
            loader.restore_variables(session, None)
        loader.restore_variables(session, ads.Saver())
        assert global_values(session) == {"x": 5, "y": 11}


def test_a_saver_of_another_scope_does_not_find_them(model: Path) -> None:
    loader = loader_impl.SavedModelLoader(str(model))
    with fresh_session() as session:
        saver, _ = loader.load_graph(session.graph, ["foo"], import_scope="baz")
        with pytest.raises(tf.errors.NotFoundError):
            loader.restore_variables(session, ads.Saver())
        loader.restore_variables(session, saver)
        loader.run_init_ops(session, ["foo"], import_scope="baz")
        assert global_values(session) == {"baz/x": 5, "baz/y": 7}


def test_variables_in_no_collection_are_restored_by_the_models_saver(variable: Variable, tmp_path: Path) -> None:
    with fresh_session() as session:
        hidden = variable(5, name="hidden", collections=["hidden"])
        tf.identity(hidden, "read")
        session.run(v1.variables_initializer([hidden]))
        add_and_save(tmp_path / "model", session, ["foo"], saver=ads.Saver([hidden]))
    with loaded(tmp_path / "model", "foo") as (session, _):
        assert not v1.global_variables()
        assert session.run("read:0") == 5


def test_the_second_version_loads_a_model(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, weight=3.0) as session:
        x = v1.placeholder(tf.float32, [None], "x")
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": x * v1.global_variables()[0]})
        add_and_save(tmp_path / "model", session, ["serve"], signature_def_map={"serving_default": signature})
    if not tf.executing_eagerly():
        return
    model = tf.saved_model.load(str(tmp_path / "model"))
    assert model.signatures["serving_default"](x=tf.constant([1.0, 2.0]))["y"].numpy().tolist() == [3.0, 6.0]


def test_variables_are_inputs_and_outputs_as_with_simple_save(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, var_x=1, var_y=2) as session:
        x, y = v1.global_variables()
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        arguments = {"signature_def_map": {"serving_default": signature}, "assets_collection": [], "main_op": None}
        add_and_save(tmp_path / "model", session, ["serve"], clear_devices=True, **arguments)
    with loaded(tmp_path / "model", "serve") as (session, meta_graph):
        assert global_values(session) == {"var_x": 1, "var_y": 2}
        (found,) = meta_graph.signature_def.values()
        assert found == signature
        assert found.method_name == v1.saved_model.signature_constants.PREDICT_METHOD_NAME
        assert [info.name for info in (found.inputs["x"], found.outputs["y"])] == ["var_x:0", "var_y:0"]
