"""Values that TensorFlow's saver saves and restores, in whatever way its variables are given, and what it refuses."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import RestoreError
from autodist_saved.tf_internals import private_api
from tests.tensorflow_behaviour.models import fresh_session, global_values, variables

Variable = Callable[..., Any]
BOTH_FORMATS = pytest.mark.parametrize("version", [v1.train.SaverDef.V1, v1.train.SaverDef.V2], ids=["V1", "V2"])


def save(make: Variable, prefix: Path, values: dict[str, Any], **arguments: Any) -> str:
    with variables(make, **values) as session:
        return ads.Saver(**arguments).save(session, str(prefix))


@BOTH_FORMATS
@pytest.mark.parametrize("form", ["all", "list", "dict"])
@pytest.mark.parametrize("arguments", [{}, {"restore_sequentially": True}, {"sharded": True}], ids=str)
def test_variables_and_tables_are_restored(
    variable: Variable, version: int, form: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    def build(values: list[float]) -> tuple[Any, Any, Any]:
        made = [variable(value, name=f"v{number}") for number, value in enumerate(values)]
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, -1.0, name="table")
        objects = [*made, *v1.get_collection(v1.GraphKeys.SAVEABLE_OBJECTS)]
        lists = {"all": None, "list": objects, "dict": dict(zip(("v0", "v1", "table"), objects, strict=True))}
        saver = ads.Saver(lists[form], write_version=version, **arguments)
        return saver, table, table.lookup(tf.constant(["k"]))

    with fresh_session() as session:
        saver, table, _ = build([10.0, 20.0])
        session.run([v1.global_variables_initializer(), table.insert(tf.constant(["k"]), tf.constant([30.0]))])
        path = saver.save(session, str(tmp_path / "c"))
    assert isinstance(path, str)
    sharded = version == v1.train.SaverDef.V1 and "sharded" in arguments
    assert path == str(tmp_path / "c") + ("-?????-of-00001" if sharded else "")
    for initialized in (False, True):
        with fresh_session() as session:
            saver, table, found = build([-1.0, -2.0])
            if initialized:
                session.run([v1.global_variables_initializer(), table.insert(tf.constant(["x"]), tf.constant([1.0]))])
            else:
                assert session.run(v1.report_uninitialized_variables()).tolist() == [b"v0", b"v1"]
            saver.restore(session, path)
            assert global_values(session) == {"v0": 10.0, "v1": 20.0}
            assert session.run(found).tolist() == [30.0]


@pytest.mark.parametrize("value", [np.int64(2**40), True, "text", np.float16(1.5), 1 + 2j, [[1, 2], [3, 4]]], ids=str)
def test_values_of_all_kinds_come_back(variable: Variable, value: Any, tmp_path: Path) -> None:
    path = save(variable, tmp_path / "c", {"v": value})
    with fresh_session() as session:
        v = variable(np.zeros_like(value) if value != "text" else "", name="v", dtype=tf.constant(value).dtype)
        ads.Saver().restore(session, path)
        np.testing.assert_array_equal(session.run(v), value if value != "text" else b"text")
        assert v.dtype.base_dtype == tf.constant(value).dtype


def test_names_in_the_checkpoint_are_those_of_the_dict(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v0=10.0, v1=20.0) as session:
        first, second = v1.global_variables()
        path = ads.Saver({"prefix/v0": first, "prefix/v1": second}).save(session, str(tmp_path / "c"))
        with pytest.raises(tf.errors.OpError, match="not found in checkpoint"):
            ads.Saver({"v0": first, "v1": second}).restore(session, path)
    with fresh_session() as session:
        made = {f"prefix/v{number}": variable(-1.0, name=f"other/v{number}") for number in range(2)}
        with pytest.raises(tf.errors.FailedPreconditionError):
            session.run(made["prefix/v0"])
        ads.Saver(made).restore(session, path)
        assert global_values(session) == {"other/v0": 10.0, "other/v1": 20.0}


def test_a_checkpoint_that_is_written_over_is_read_anew(variable: Variable, tmp_path: Path) -> None:
    for name, value in (("v0", 0.0), ("v1", 1.1)):
        path = save(variable, tmp_path / "c", {name: value})
        with fresh_session() as session:
            restored = variable(9.0, name=name)
            ads.Saver().restore(session, path)
            assert session.run(restored) == np.float32(value)


def test_names_are_given_once(variable: Variable) -> None:
    with fresh_session():
        first, second, part = (variable([10.0], name=name) for name in ("v0", "v1", "v2"))
        part._set_save_slice_info(v1.Variable.SaveSliceInfo("v1", [1], [0], [1]))
        with pytest.raises(ValueError, match="same name: v1"):
            ads.Saver([first, second, part])
        ads.Saver({"vee": second, "other": [part]})
        with pytest.raises(ValueError, match="The same saveable will be restored with two names: v0"):
            ads.Saver({"v0": first, "again": first})


@pytest.mark.parametrize("var_list", [3, {"v": 3}, [3]], ids=str)
def test_what_is_no_variable_is_refused(var_list: Any) -> None:
    with fresh_session():
        raised = []
        for kind in (v1.train.Saver, ads.Saver):
            with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
                kind(var_list)
            raised.append(caught.type)
        assert raised[0] == raised[1]


def test_a_missing_variable_is_not_found_and_changes_nothing(variable: Variable, tmp_path: Path) -> None:
    path = save(variable, tmp_path / "c", {"a": 1.0})
    with variables(variable, a=5.0, b=6.0) as session:
        with pytest.raises(tf.errors.NotFoundError, match="Key b not found in checkpoint") as caught:
            ads.Saver().restore(session, path)
        caught.match("a Variable name or other graph key that is missing")
        assert "Key b not found in checkpoint" in caught.value.message
        assert (caught.value.op, caught.value.node_def) == (None, None)
        assert caught.value.error_code == tf.errors.NOT_FOUND
        assert global_values(session) == {"a": 5.0, "b": 6.0}


@pytest.mark.parametrize("partitions", [1, 2])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.zeros([3, 2], np.float32), "Assign requires shapes of both tensors to match"),
        (np.zeros([2, 3], np.int32), "expected dtype int32 does not equal original dtype float"),
    ],
    ids=["shape", "type"],
)
def test_a_variable_that_differs_is_an_invalid_argument(
    variable: Variable, value: Any, told: str, partitions: int, tmp_path: Path
) -> None:
    path = save(variable, tmp_path / "c", {"v": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]})
    with fresh_session() as session:
        partitioner = v1.fixed_size_partitioner(partitions)
        v1.get_variable("v", value.shape, tf.as_dtype(value.dtype), v1.zeros_initializer(), partitioner=partitioner)
        with pytest.raises(tf.errors.InvalidArgumentError, match=told) as caught:
            ads.Saver().restore(session, path)
        caught.match("a mismatch between the current graph and the graph")


def test_a_variable_is_reshaped_on_request(variable: Variable, tmp_path: Path) -> None:
    path = save(variable, tmp_path / "c", {"v": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]})
    with variables(variable, v=[[0.0, 0.0]] * 3) as session:
        ads.Saver(reshape=True).restore(session, path)
        assert global_values(session)["v"].tolist() == [[1, 2], [3, 4], [5, 6]]


def test_a_variable_without_a_value_is_a_failed_precondition(variable: Variable, tmp_path: Path) -> None:
    with fresh_session() as session:
        variable(1.0, name="v")
        with pytest.raises(tf.errors.FailedPreconditionError):
            ads.Saver().save(session, str(tmp_path / "c"))
    assert not [*tmp_path.iterdir()]


@BOTH_FORMATS
def test_a_checkpoint_that_is_not_there_is_told(variable: Variable, version: int) -> None:
    with variables(variable, v=1.0) as session:
        saver = ads.Saver(write_version=version)
        with pytest.raises(ValueError, match="The passed save_path is not a valid checkpoint: nowhere"):
            saver.restore(session, "nowhere")
        with pytest.raises(ValueError, match="Can't load save_path when it is None"):
            saver.restore(session, None)


def test_an_empty_saver_does_nothing(tmp_path: Path) -> None:
    with fresh_session() as session:
        tf.constant(1)
        with pytest.raises(ValueError, match="No variables to save"):
            ads.Saver()
        saver = ads.Saver(allow_empty=True)
        assert saver.save(session, str(tmp_path / "c")) is None
        saver.restore(session, str(tmp_path / "nowhere"))


def test_building_can_wait_for_variables(variable: Variable, tmp_path: Path) -> None:
    with fresh_session() as session:
        first = variable(1.0, name="one")
        with pytest.raises(ValueError, match="build cannot be deferred"):
            ads.Saver([first], defer_build=True)
        saver = ads.Saver(defer_build=True)
        variable([2.0, 2.0], name="twos")
        with pytest.raises(RuntimeError, match=r"`build\(\)` should be called before save"):
            saver.save(session, str(tmp_path / "c"))
        saver.build()
        session.run(v1.global_variables_initializer())
        path = saver.save(session, str(tmp_path / "c"))
    assert [name for name, _ in tf.train.list_variables(path)] == ["one", "twos"]


def test_the_file_name_may_be_known_beforehand(variable: Variable) -> None:
    with variables(variable, v=1.0) as session:
        saver = ads.Saver(filename="known")
        assert session.run(saver.saver_def.filename_tensor_name) == b"known"


def test_a_session_is_needed(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1.0), pytest.raises(TypeError, match="'sess' must be a Session"):
        ads.Saver().save("session", str(tmp_path / "c"))


FULL = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
PARTS = {"whole": (1, 0), "2 rows": (2, 0), "10 rows": (10, 0), "3 columns": (3, 1)}


def _part_of_full(shape: list[int], dtype: Any = None, partition_info: Any = None) -> tf.Tensor:
    offset = partition_info.var_offset if partition_info else [0, 0]
    return tf.constant(FULL[tuple(slice(o, o + n) for o, n in zip(offset, shape, strict=True))])


def _partitioned(parts: str, initializer: Any, as_dict: bool) -> tuple[Any, Any]:
    count, axis = PARTS[parts]
    partitioner = v1.fixed_size_partitioner(count, axis) if parts != "whole" else None
    made = v1.get_variable("v", [10, 3], initializer=initializer, partitioner=partitioner)
    return made, ({"v": made} if as_dict else [made])


@BOTH_FORMATS
@pytest.mark.parametrize("as_dict", [True, False], ids=["dict", "list"])
@pytest.mark.parametrize("here", PARTS)
@pytest.mark.parametrize("there", PARTS)
def test_partitions_restore_into_any_others(
    here: str, there: str, as_dict: bool, version: int, tmp_path: Path
) -> None:
    sharded = version == v1.train.SaverDef.V2
    with fresh_session() as session:
        _, var_list = _partitioned(there, _part_of_full, as_dict)
        session.run(v1.global_variables_initializer())
        path = ads.Saver(var_list, write_version=version, sharded=sharded).save(session, str(tmp_path / "c"))
        assert path == str(tmp_path / "c")
    with fresh_session() as session:
        made, var_list = _partitioned(here, v1.zeros_initializer(), as_dict)
        ads.Saver(var_list, write_version=version, sharded=sharded).restore(session, path)
        np.testing.assert_array_equal(session.run(tf.convert_to_tensor(made)), FULL)


def test_slices_can_be_given_as_a_list(variable: Variable, tmp_path: Path) -> None:
    path = save(variable, tmp_path / "c", {"v": [1.0, 2.0, 3.0]})
    with fresh_session() as session:
        first, second = variable([0.0], name="a"), variable([0.0, 0.0], name="b")
        first._set_save_slice_info(v1.Variable.SaveSliceInfo("v", [3], [0], [1]))
        second._set_save_slice_info(v1.Variable.SaveSliceInfo("v", [3], [1], [2]))
        ads.Saver({"v": [first, second]}).restore(session, path)
        assert [*session.run(first), *session.run(second)] == [1.0, 2.0, 3.0]


def test_an_error_of_restoring_can_be_pickled(variable: Variable, tmp_path: Path) -> None:
    path = save(variable, tmp_path / "c", {"a": 1.0})
    for name, value in (("a", [1.0]), ("b", 1.0)):
        with variables(variable, **{name: value}) as session, pytest.raises(RestoreError) as caught:
            ads.Saver().restore(session, path)
        caught.value.phase = "restore"
        copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
        assert type(copy) is type(caught.value)
        assert str(copy) == str(caught.value) == copy.message
        for attribute in ("problems", "missing", "error_code", "phase"):
            assert getattr(copy, attribute) == getattr(caught.value, attribute)


def test_a_saveable_of_ones_own_restores_in_its_own_way(
    variable: Variable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodist_saved.sources.restore_ops.ROWS_FROM_BYTES", 1)

    class Mirroring(private_api.ResourceVariableSaveable):
        def restore(self, restored_tensors: Any, restored_shapes: Any) -> Any:
            return tf.group(v1.assign(first, restored_tensors[0]), v1.assign(second, restored_tensors[0]))

    with fresh_session() as session:
        first = v1.Variable([6.0], name="first", use_resource=True)
        second = v1.Variable([15.0], name="second", use_resource=True)
        session.run(v1.global_variables_initializer())
        saver = ads.Saver([Mirroring(first, "", "first")])
        path = saver.save(session, str(tmp_path / "c"))
        session.run([v1.assign(first, [1.0]), v1.assign(second, [2.0])])
        saver.restore(session, path)
        assert global_values(session) == {"first": [6.0], "second": [6.0]}


def test_an_object_based_checkpoint_is_restored_by_names_and_the_graph_does_not_grow(tmp_path: Path) -> None:
    with variables(v1.Variable, v=7.0) as session:
        path = tf.train.Checkpoint(v=v1.global_variables()[0]).save(str(tmp_path / "c"))
    with variables(v1.Variable, v=0.0) as session:
        saver = ads.Saver()
        saver.restore(session, path)
        assert global_values(session) == {"v": 7.0}
        before = v1.get_default_graph().get_operations()
        saver.restore(session, path)
        assert v1.get_default_graph().get_operations() == before
    with variables(v1.Variable, other=0.0) as session, pytest.raises(tf.errors.NotFoundError):
        ads.Saver().restore(session, path)
