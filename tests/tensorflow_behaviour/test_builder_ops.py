"""Ops that are run when a model is loaded, and train ops: in collections and in reserved signatures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.tensorflow_behaviour.models import (
    add_and_save,
    fresh_session,
    global_values,
    loaded,
    saved_model,
    variables,
)

Variable = Callable[..., Any]
MAIN_OP = v1.saved_model.constants.MAIN_OP_KEY
LEGACY_INIT_OP = v1.saved_model.constants.LEGACY_INIT_OP_KEY
INIT_SIGNATURE, TRAIN_SIGNATURE, TRAIN_OP = "__saved_model_init_op", "__saved_model_train_op", "saved_model_train_op"


@pytest.mark.parametrize("name", ["main_op", "legacy_init_op", "init_op"])
def test_an_op_is_run_when_the_model_is_loaded(name: str, variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v1=1, v2=2, v3=42) as session:
        first, second, third = v1.global_variables()
        op = tf.group(v1.assign(third, tf.add(first, second)), name="sum")
        add_and_save(tmp_path / "model", session, ["serve"], **{name: op})
    with loaded(tmp_path / "model", "serve") as (session, meta_graph):
        assert global_values(session) == {"v1": 1, "v2": 2, "v3": 3}
        assert meta_graph.collection_def[MAIN_OP].node_list.value == ["sum"]
        assert (INIT_SIGNATURE in meta_graph.signature_def) == (name == "init_op")
    with loaded(tmp_path / "model", "serve", scope="scope") as (session, _):
        assert global_values(session) == {"scope/v1": 1, "scope/v2": 2, "scope/v3": 3}


def test_the_signature_of_an_init_op_names_it(tmp_path: Path) -> None:
    with variables(v1.Variable, v=1) as session:
        add_and_save(tmp_path / "model", session, ["serve"], init_op=tf.no_op("mine"))
    (meta_graph,) = saved_model(tmp_path / "model").meta_graphs
    signature = meta_graph.signature_def[INIT_SIGNATURE]
    info = signature.outputs[INIT_SIGNATURE]
    assert (info.name, info.dtype, info.tensor_shape.unknown_rank) == ("mine", 0, True)
    assert not signature.inputs


def test_tensorflows_own_main_op_initializes_what_is_not_saved(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1) as session:
        local = variable(7, name="local", collections=[v1.GraphKeys.LOCAL_VARIABLES])
        tf.identity(local, "read")
        add_and_save(tmp_path / "model", session, ["serve"], main_op=v1.saved_model.main_op.main_op())
    with loaded(tmp_path / "model", "serve") as (session, _):
        assert session.run("read:0") == 7


@pytest.mark.parametrize("key", [MAIN_OP, LEGACY_INIT_OP])
def test_a_graph_has_one_main_op(key: str, variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1) as session:
        v1.add_to_collection(key, tf.no_op("first"))
        second, saver = tf.no_op("second"), ads.Saver()
        builder = ads.SavedModelBuilder(str(tmp_path / "model"))
        for name in ("main_op", "legacy_init_op"):
            with pytest.raises(ValueError, match="Graph already contains"):
                builder.add_meta_graph_and_variables(session, ["serve"], saver=saver, **{name: second})
        builder.add_meta_graph_and_variables(session, ["serve"], saver=saver)
        builder.save()
    (meta_graph,) = saved_model(tmp_path / "model").meta_graphs
    assert meta_graph.collection_def[key].node_list.value == ["first"]


@pytest.mark.parametrize("key", [MAIN_OP, LEGACY_INIT_OP])
def test_the_main_op_of_a_graph_with_tables_stays(key: str, tmp_path: Path) -> None:
    with variables(v1.Variable, v=1) as session:
        words = tf.lookup.KeyValueTensorInitializer(tf.constant(["late"]), tf.constant([7], tf.int64))
        tf.lookup.StaticHashTable(words, -1)
        v1.add_to_collection(key, tf.group(v1.tables_initializer(), name="mine"))
        add_and_save(tmp_path / "model", session, ["serve"])
    (meta_graph,) = saved_model(tmp_path / "model").meta_graphs
    assert meta_graph.collection_def[key].node_list.value == ["mine"]
    assert {MAIN_OP, LEGACY_INIT_OP} & {*meta_graph.collection_def} == {key}


def test_a_loaded_model_is_exported_again_with_its_main_op(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1) as session:
        (only,) = v1.global_variables()
        add_and_save(tmp_path / "first", session, ["serve"], main_op=tf.group(v1.assign(only, 5), name="main"))
    with loaded(tmp_path / "first", "serve") as (session, _):
        (main_op,) = v1.get_collection(MAIN_OP)
        add_and_save(tmp_path / "second", session, ["serve"], main_op=main_op)
    with loaded(tmp_path / "second", "serve") as (session, _):
        assert global_values(session) == {"v": 5}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"main_op": "a", "init_op": "b"}, "init_op: it differs from main_op"),
        ({"legacy_init_op": "a", "init_op": "b"}, "init_op: it differs from main_op"),
    ],
    ids=str,
)
def test_both_forms_of_one_thing_are_the_same(arguments: dict[str, str], told: str, tmp_path: Path) -> None:
    with variables(v1.Variable, v=1) as session:
        ops = {name: tf.no_op(name) for name in "ab"}
        saver = ads.Saver()
        builder = ads.SavedModelBuilder(str(tmp_path / "model"))
        given = {name: ops[op] for name, op in arguments.items()}
        with pytest.raises(ValueError, match=told):
            builder.add_meta_graph_and_variables(session, ["serve"], saver=saver, **given)
        builder.add_meta_graph_and_variables(session, ["serve"], saver=saver, **dict.fromkeys(arguments, ops["a"]))
        builder.add_meta_graph(["two"], main_op=ops["a"], init_op=ops["a"])


def test_main_op_goes_before_its_old_name(tmp_path: Path) -> None:
    with variables(v1.Variable, v=1) as session:
        new, old = tf.no_op("new"), tf.no_op("old")
        add_and_save(tmp_path / "model", session, ["serve"], main_op=new, legacy_init_op=old)
    (meta_graph,) = saved_model(tmp_path / "model").meta_graphs
    assert meta_graph.collection_def[MAIN_OP].node_list.value == ["new"]


@pytest.mark.parametrize("name", ["main_op", "init_op", "train_op"])
def test_what_is_no_op_is_refused_by_its_type(name: str, tmp_path: Path) -> None:
    with variables(v1.Variable, v=1) as session:
        builder = ads.SavedModelBuilder(str(tmp_path / "model"))
        with pytest.raises(TypeError, match=f"{name}: 3 is neither an operation nor a tensor"):
            builder.add_meta_graph_and_variables(session, ["serve"], saver=ads.Saver(), **{name: 3})


def _train_op(meta_graph: Any) -> Any:
    """The train op of a loaded graph, by both of the ways in which loaders look for it."""
    (name,) = meta_graph.collection_def[TRAIN_OP].node_list.value
    (found,) = v1.get_collection(TRAIN_OP)
    assert meta_graph.signature_def[TRAIN_SIGNATURE].outputs[TRAIN_SIGNATURE].name == name == found.name
    return found


@pytest.mark.parametrize("kind", ["what assign_add returns", "tensor", "group"])
def test_a_train_op_is_found_and_not_run_when_the_model_is_loaded(
    kind: str, variable: Variable, tmp_path: Path
) -> None:
    with variables(variable, v1=1, v2=2) as session:
        first, second = v1.global_variables()
        added = v1.assign_add(first, second)
        train_op = {"what assign_add returns": added, "tensor": tf.identity(added), "group": tf.group(added)}[kind]
        session.run(train_op)
        add_and_save(tmp_path / "model", session, ["train"], train_op=train_op)
    with loaded(tmp_path / "model", "train") as (session, meta_graph):
        assert global_values(session) == {"v1": 3, "v2": 2}
        train_op = _train_op(meta_graph)
        assert isinstance(train_op, tf.Tensor) or kind != "tensor"
        assert isinstance(train_op, tf.Operation) or kind != "group"
        session.run(train_op)
        assert global_values(session) == {"v1": 5, "v2": 2}


def test_a_train_op_may_come_with_a_later_meta_graph(variable: Variable, tmp_path: Path) -> None:
    builder = ads.SavedModelBuilder(str(tmp_path / "model"))
    with variables(variable, v1=1, v2=2) as session:
        builder.add_meta_graph_and_variables(session, ["before"], saver=ads.Saver())
        builder.add_meta_graph(["after"], train_op=v1.assign_add(*v1.global_variables()))
    builder.save()
    with loaded(tmp_path / "model", "after") as (session, meta_graph):
        session.run(_train_op(meta_graph))
        assert global_values(session) == {"v1": 3, "v2": 2}
    with loaded(tmp_path / "model", "before"):
        assert not v1.get_collection(TRAIN_OP)


def test_an_op_in_a_collection_runs_after_loading(variable: Variable, tmp_path: Path) -> None:
    with fresh_session() as session:
        first, second = variable(1, name="v1"), variable(2, name="v2")
        third = variable(1, name="v3", trainable=False, collections=[])
        v1.add_to_collection("init_op", tf.group(v1.assign(third, tf.add(first, second)), name="init_op"))
        tf.identity(third, "read")
        session.run(v1.global_variables_initializer())
        add_and_save(tmp_path / "model", session, ["serve"])
    with loaded(tmp_path / "model", "serve") as (session, _):
        (init_op,) = v1.get_collection("init_op")
        session.run(init_op)
        assert session.run("read:0") == 3


def test_a_model_in_the_internal_form_is_loaded_by_the_second_version_too(tmp_path: Path) -> None:
    with variables(v1.Variable, v=1.0) as session:
        (only,) = v1.global_variables()
        x = v1.placeholder(tf.float32, [], "x")
        init_op = tf.group(v1.assign(only, 5.0), name="init")
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": x * only})
        train_op = tf.group(v1.assign_add(only, x))
        add_and_save(
            tmp_path / "model",
            session,
            ["serve"],
            signature_def_map={"p": signature},
            init_op=init_op,
            train_op=train_op,
        )
    with tf.init_scope():
        if not tf.executing_eagerly():
            pytest.skip("it takes eager execution to run")
        model = tf.saved_model.load(str(tmp_path / "model"))
        assert model.signatures["p"](x=tf.constant(2.0))["y"].numpy() == 10.0
