"""Names of checkpoints, which of them are kept, and what is noted of them: as by TensorFlow's saver."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.tensorflow_behaviour.models import fresh_session, global_values, variables

Variable = Callable[..., Any]
V1, V2 = v1.train.SaverDef.V1, v1.train.SaverDef.V2


def files(place: Path) -> list[str]:
    """Names of the files of a directory."""
    return sorted(path.name for path in place.iterdir())


def exists(path: str) -> bool:
    """Whether there is a checkpoint, and its meta graph."""
    return bool(v1.train.checkpoint_exists(path)) and Path(f"{path}.meta").exists()


@pytest.mark.parametrize("step", [5, np.int64(5), "constant", "variable", "name"], ids=str)
@pytest.mark.parametrize("padded", [True, False])
def test_the_step_is_part_of_the_name(step: Any, padded: bool, variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1.0) as session:
        value = variable(tf.constant(5, tf.int64), name="step", collections=[v1.GraphKeys.LOCAL_VARIABLES])
        session.run(v1.local_variables_initializer())
        step = {"constant": tf.constant(5), "variable": value, "name": value.value().name}.get(str(step), step)
        saver = ads.Saver(pad_step_number=padded)
        path = saver.save(session, str(tmp_path / "c"), global_step=step)
    assert path == str(tmp_path / ("c-00000005" if padded else "c-5"))
    assert exists(path)


def test_the_latest_are_kept(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1.0) as session:
        saver = ads.Saver(max_to_keep=2)
        assert saver.last_checkpoints == []

        def save(by: Any, name: str) -> str:
            path = by.save(session, str(tmp_path / name))
            state = tf.train.get_checkpoint_state(str(tmp_path))
            assert state.model_checkpoint_path == path
            assert state.all_model_checkpoint_paths == by.last_checkpoints
            return path

        one, two, three = (save(saver, name) for name in ("one", "two", "three"))
        assert saver.last_checkpoints == [two, three]
        assert [exists(path) for path in (one, two, three)] == [False, True, True]
        told = ads.Saver(saver_def=saver.as_saver_def())
        told.set_last_checkpoints(saver.last_checkpoints)
        untold = ads.Saver(saver_def=saver.as_saver_def())
        assert save(saver, "two") == two
        assert saver.last_checkpoints == [three, two]
        assert save(saver, "one") == one
        assert saver.last_checkpoints == [two, one]
        assert not exists(three)
        assert save(told, "two") == two
        assert told.last_checkpoints == [three, two]
        assert exists(one)
        assert save(untold, "two") == two
        assert save(untold, "one") == one
        assert untold.last_checkpoints == [two, one]
        assert exists(two)


@pytest.mark.parametrize("version", [V1, V2], ids=["V1", "V2"])
def test_sharded_ones_have_a_file_for_each_device_and_are_deleted_as_a_whole(
    version: int, variable: Variable, tmp_path: Path
) -> None:
    two_devices = v1.ConfigProto(device_count={"CPU": 2})
    with tf.Graph().as_default(), v1.Session(config=two_devices) as session:
        for number in range(2):
            with tf.device(f"/cpu:{number}"):
                variable(number, name=f"v{number}")
        saver = ads.Saver(sharded=True, max_to_keep=2, write_version=version)
        assert saver.as_saver_def().sharded
        session.run(v1.global_variables_initializer())
        paths = [saver.save(session, str(tmp_path / name)) for name in ("s1", "s2", "s3")]
        assert saver.last_checkpoints == paths[1:]
        shards = [".data-00000-of-00002", ".data-00001-of-00002", ".index", ".meta"]
        if version == V1:
            assert paths[0] == str(tmp_path / "s1-?????-of-00002")
            shards = ["-00000-of-00002", "-00001-of-00002", ".meta"]
        assert files(tmp_path) == sorted(["checkpoint", *(name + shard for name in ("s2", "s3") for shard in shards)])
        assert tf.train.latest_checkpoint(str(tmp_path)) == paths[-1]
        session.run([v1.assign(v, -1) for v in v1.global_variables()])
        saver.restore(session, paths[-1])
        assert global_values(session) == {"v0": 0, "v1": 1}


@pytest.mark.parametrize("keep", [None, 0])
def test_all_are_kept_and_none_is_noted_but_the_last(keep: Any, variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1.0) as session:
        saver = ads.Saver(max_to_keep=keep)
        paths = [saver.save(session, str(tmp_path / name)) for name in ("one", "two")]
        assert saver.last_checkpoints == []
        assert all(map(exists, paths))
        assert tf.train.get_checkpoint_state(str(tmp_path)).all_model_checkpoint_paths == paths[1:]


def test_one_is_kept_every_so_many_hours(variable: Variable, tmp_path: Path) -> None:
    with mock.patch("tensorflow.python.training.saver.time") as clock, variables(variable, v=1.0) as session:
        clock.time.return_value = 1000.0
        saver = ads.Saver(max_to_keep=2, keep_checkpoint_every_n_hours=0.7 / 3600)
        clock.time.return_value = 1001.0
        paths = [saver.save(session, str(tmp_path / name)) for name in ("s1", "s2", "s3", "s4")]
        assert saver.last_checkpoints == paths[2:]
        assert [exists(path) for path in paths] == [True, False, True, True]


def test_what_is_known_of_checkpoints_can_be_recovered(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1.0) as session:
        saver = ads.Saver()
        paths = [saver.save(session, str(tmp_path / name)) for name in ("s1", "s2", "s3")]
        other = ads.Saver(max_to_keep=2)
        other.recover_last_checkpoints(paths)
        assert other.last_checkpoints == paths
        for path in tmp_path.glob("s1*"):
            path.unlink()
        other.recover_last_checkpoints(paths)
        assert other.last_checkpoints == paths[1:]
        fourth = other.save(session, str(tmp_path / "s4"))
        assert other.last_checkpoints == [paths[2], fourth]
        assert not exists(paths[1])
        other.set_last_checkpoints_with_time([(paths[2], 1.0)])
        assert other.last_checkpoints == [paths[2]]


def test_files_that_are_not_wanted_are_not_written(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1.0) as session:
        saver = ads.Saver()
        path = saver.save(session, str(tmp_path / "c"), write_meta_graph=False, write_state=False)
        assert files(tmp_path) == ["c.data-00000-of-00001", "c.index"]
        assert saver.last_checkpoints == []
        saver.restore(session, path)


def test_state_and_meta_graph_may_have_other_names(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1.0) as session:
        saver = ads.Saver()
        path = saver.save(session, str(tmp_path / "c"), latest_filename="latest", meta_graph_suffix="graph")
        assert files(tmp_path) == ["c.data-00000-of-00001", "c.graph", "c.index", "latest"]
        assert tf.train.latest_checkpoint(str(tmp_path), "latest") == path
        with pytest.raises(ValueError, match="'latest_filename' must not contain path components"):
            saver.save(session, str(tmp_path / "c"), latest_filename="a/b")


@pytest.mark.parametrize("sharded", [True, False])
def test_a_checkpoint_is_not_mistaken_for_the_state_file(
    sharded: bool, variable: Variable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train").mkdir()
    with variables(variable, v=1.0) as session:
        saver, path = ads.Saver(sharded=sharded), "train/checkpoint"
        if sharded:
            saver.save(session, path)
            assert tf.train.latest_checkpoint("train") == path
        else:
            with pytest.raises(ValueError, match="collides with 'save_path'"):
                saver.save(session, path)
        saver.save(session, path, global_step=1)
        assert tf.train.latest_checkpoint("train") == f"{path}-1"


def test_relative_paths_are_relative_to_the_working_directory(
    variable: Variable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train").mkdir()
    with variables(variable, v=0.0) as session:
        (only,) = v1.global_variables()
        add = v1.assign_add(only, 1.0)
        saver = ads.Saver({"v0": only})
        for step in range(3):
            assert saver.save(session, "train/snapshot", global_step=step) == f"train/snapshot-{step}"
            session.run(add)
        assert saver.save(session, "here") == "here"
    with variables(variable, v=-1.0) as session:
        latest = tf.train.latest_checkpoint("train/")
        ads.Saver({"v0": v1.global_variables()[0]}).restore(session, latest)
        assert global_values(session) == {"v": 2.0}


def test_a_directory_with_relative_paths_in_it_can_be_moved(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1.0) as session:
        saver = ads.Saver(save_relative_paths=True)
        (tmp_path / "here").mkdir()
        saver.save(session, str(tmp_path / "here" / "c"))
        (tmp_path / "here").rename(tmp_path / "there")
        assert 'model_checkpoint_path: "c"' in (tmp_path / "there" / "checkpoint").read_text()
        latest = tf.train.latest_checkpoint(str(tmp_path / "there"))
        assert latest == str(tmp_path / "there" / "c")
        saver.restore(session, latest)


def test_a_missing_parent_is_made_and_a_missing_grandparent_told(variable: Variable, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    with variables(variable, v=1.0) as session:
        saver = ads.Saver()
        path = saver.save(session, str(tmp_path / "new" / "c"))
        saver.restore(session, path)
        for place in ("no/more/c", "file/c"):
            told = re.escape(f"Parent directory of {tmp_path / place} doesn't exist, can't save.")
            with pytest.raises(ValueError, match=told):
                saver.save(session, str(tmp_path / place))


def test_a_uri_is_a_path_too(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1.0) as session:
        saver = ads.Saver()
        path = saver.save(session, f"file://{tmp_path}/c")
        assert path == f"file://{tmp_path}/c"
        saver.restore(session, path)
    assert "c.index" in files(tmp_path)


@pytest.mark.parametrize("version", [V1, V2], ids=["V1", "V2"])
def test_a_checkpoint_is_known_as_one_and_by_its_time(version: int, variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1.0) as session:
        saver = ads.Saver(write_version=version)
        assert not v1.train.checkpoint_exists(str(tmp_path / "c"))
        paths = [saver.save(session, str(tmp_path / name)) for name in ("c", "d")]
        assert all(map(v1.train.checkpoint_exists, paths))
        first, second = v1.train.get_checkpoint_mtimes(paths)
        assert first <= second


@pytest.mark.parametrize("version", [V1, V2], ids=["V1", "V2"])
def test_tensorflows_reader_reads_a_checkpoint(version: int, variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v0=[[1.0, 2.0, 3.0]], v1=[[[1]], [[2]]]) as session:
        path = ads.Saver(write_version=version).save(session, str(tmp_path / "c"))
    reader = tf.train.load_checkpoint(path)
    assert reader.get_variable_to_shape_map() == {"v0": [1, 3], "v1": [2, 1, 1]}
    assert reader.get_variable_to_dtype_map() == {"v0": tf.float32, "v1": tf.int32}
    assert b"v0 (DT_FLOAT) [1,3]" in reader.debug_string()
    assert reader.get_tensor("v1").tolist() == [[[1]], [[2]]]
    with pytest.raises(tf.errors.NotFoundError if version == V1 else (tf.errors.NotFoundError, RuntimeError)):
        reader.get_tensor("v3")


def test_eager_variables_are_saved_and_restored_in_both_worlds(tmp_path: Path) -> None:
    with fresh_session() as session:
        v1.Variable(1.0, name="a", use_resource=True)
        session.run(v1.global_variables_initializer())
        of_graph = ads.Saver().save(session, str(tmp_path / "graph"))
    if not tf.executing_eagerly():
        return
    variable = tf.Variable(0.0, name="a")
    with pytest.raises(RuntimeError, match="`var_list` must specify a list"):
        ads.Saver()
    saver = ads.Saver([variable], max_to_keep=2)
    with pytest.raises(RuntimeError, match="Use save/restore instead of build in eager mode"):
        saver.build()
    saver.restore(None, of_graph)
    assert variable.numpy() == 1.0
    variable.assign(2.0)
    paths = [saver.save(None, str(tmp_path / name)) for name in ("s1", "s2", "s3")]
    assert saver.last_checkpoints == paths[1:]
    assert not v1.train.checkpoint_exists(paths[0])
    with fresh_session() as session:
        v1.Variable(0.0, name="a", use_resource=True)
        ads.Saver().restore(session, paths[-1])
        assert global_values(session) == {"a": 2.0}
