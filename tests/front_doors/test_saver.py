"""The saver goes wherever TensorFlow takes one, and does there what TensorFlow's does."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import RestoreError, UsageError


def model() -> tuple[v1.Variable, tf.Operation]:
    weight = v1.get_variable("w", initializer=1.0)
    step = v1.train.get_or_create_global_step()
    return weight, v1.train.AdamOptimizer(0.1).minimize(weight**2, global_step=step)


def test_it_is_a_saver_with_the_same_arguments() -> None:
    assert issubclass(ads.Saver, v1.train.Saver)
    ours, theirs = (list(inspect.signature(kind).parameters.values()) for kind in (ads.Saver, v1.train.Saver))
    assert ours[:-1] == theirs
    assert (ours[-1].name, ours[-1].kind) == ("options", inspect.Parameter.KEYWORD_ONLY)


def test_save_returns_the_path_and_restore_takes_it(graph: tf.Graph, tmp_path: Path) -> None:
    weight, train = model()
    saver = ads.Saver(max_to_keep=2)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        paths = []
        for step in range(3):
            session.run(train)
            paths.append(saver.save(session, str(tmp_path / "model"), global_step=step))
        saved = session.run(weight)
        session.run(train)
        assert paths[-1] == str(tmp_path / "model-2")
        assert saver.last_checkpoints == paths[1:]
        assert tf.train.latest_checkpoint(str(tmp_path)) == paths[-1]
        saver.restore(session, paths[-1])
        assert session.run(weight) == saved


def test_a_scaffold_and_a_checkpoint_hook_take_it(graph: tf.Graph, tmp_path: Path) -> None:
    _, train = model()
    scaffold = v1.train.Scaffold(saver=ads.Saver())
    hook = v1.train.CheckpointSaverHook(str(tmp_path), save_steps=1, scaffold=scaffold)
    with v1.train.MonitoredTrainingSession(scaffold=scaffold, hooks=[hook]) as session:
        session.run(train)
    assert tf.train.latest_checkpoint(str(tmp_path))


def test_a_monitored_session_restores_with_it(graph: tf.Graph, tmp_path: Path) -> None:
    weight, train = model()
    saver = ads.Saver()
    single = ads.Cluster.single()
    with ads.create_distributed_session(single, saver=saver, checkpoint_dir=str(tmp_path)) as session:
        for _ in range(5):
            session.run(train)
        left = session.run(weight)
    with tf.Graph().as_default():
        weight, _ = model()
        with ads.create_distributed_session(single, saver=ads.Saver(), checkpoint_dir=str(tmp_path)) as session:
            assert session.run(weight) == left
            assert session.run(v1.train.get_global_step()) == 5


def test_it_works_where_variables_have_no_devices_at_all(graph: tf.Graph) -> None:
    v1.get_variable("w", [2])
    assert {op.device for op in graph.get_operations() if not op.name.startswith("autodist")} == {""}
    assert len(ads.Saver().staging.pieces) == 1


def test_it_can_be_built_later(graph: tf.Graph) -> None:
    saver = ads.Saver(defer_build=True)
    v1.get_variable("w", [2])
    saver.build()
    assert [variable.name for variable in saver.staging.plan.variables] == ["w"]


@pytest.mark.parametrize("kind", ["of variables", "of none", "of what no copy can be made of", "of a definition"])
def test_it_can_be_built_again_in_a_final_graph(graph: tf.Graph, kind: str) -> None:
    """A monitored session does so for each session that it makes."""
    if kind == "of what no copy can be made of":
        iterator = v1.data.make_initializable_iterator(v1.data.Dataset.range(3))
        saver = ads.Saver([tf.data.experimental.make_saveable_from_iterator(iterator)])
    else:
        if kind != "of none":
            v1.get_variable("w", initializer=1.0)
        saver = ads.Saver(allow_empty=True)
        if kind == "of a definition":
            saver = ads.Saver(saver_def=saver.as_saver_def())
    graph.finalize()
    saver.build()


def test_it_saves_what_its_list_says(graph: tf.Graph) -> None:
    first, _ = v1.get_variable("a", [2]), v1.get_variable("b", [2])
    assert [variable.name for variable in ads.Saver([first]).staging.plan.variables] == ["a"]
    renamed = ads.Saver({"other/name": first})
    assert [variable.name for variable in renamed.staging.plan.variables] == ["other/name"]


def test_an_empty_saver_has_an_empty_plan(graph: tf.Graph) -> None:
    assert ads.Saver(allow_empty=True).staging.plan.variables == ()


def test_two_savers_in_one_graph_do_not_share_copies(graph: tf.Graph) -> None:
    v1.get_variable("w", [2])
    names = {
        op.get_attr("shared_name")
        for op in ((ads.Saver(), ads.Saver()), graph.get_operations())[1]
        if op.type == "VarHandleOp" and "copy" in op.name
    }
    assert len(names) == 2


def test_a_stock_saver_reads_its_checkpoints_of_partitioned_variables(graph: tf.Graph, tmp_path: Path) -> None:
    v1.get_variable("t", [5, 2], partitioner=v1.fixed_size_partitioner(2), initializer=v1.ones_initializer())
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        path = saver.save(session, str(tmp_path / "c"))
    with tf.Graph().as_default(), v1.Session() as session:
        whole = v1.get_variable("t", [5, 2])
        v1.train.Saver().restore(session, path)
        np.testing.assert_array_equal(session.run(whole), np.ones([5, 2]))


def test_other_file_systems_are_left_to_tensorflow(graph: tf.Graph) -> None:
    weight, train = model()
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        path = saver.save(session, "ram://autodist_saved_test/model")
        saved = session.run(weight)
        session.run(train)
        saver.restore(session, path)
        assert session.run(weight) == saved


def test_a_missing_directory_is_made_as_by_tensorflow(graph: tf.Graph, tmp_path: Path) -> None:
    model()
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        assert saver.save(session, str(tmp_path / "new" / "model")) == str(tmp_path / "new" / "model")


def test_what_no_copy_can_be_made_of_is_saved_by_tensorflow(graph: tf.Graph, tmp_path: Path) -> None:
    iterator = v1.data.make_one_shot_iterator(tf.data.Dataset.range(10))
    following = iterator.get_next()
    v1.add_to_collection(v1.GraphKeys.SAVEABLE_OBJECTS, v1.data.experimental.make_saveable_from_iterator(iterator))
    model()
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run(following)
        path = saver.save(session, str(tmp_path / "c"))
        assert session.run(following) == 1
        saver.restore(session, path)
        assert session.run(following) == 1
    with pytest.raises(UsageError, match="no copy can be made of OneShotIterator"):
        _ = saver.staging


def test_some_slices_of_a_variable_are_saved_by_tensorflow(graph: tf.Graph, tmp_path: Path) -> None:
    table = v1.get_variable("t", [4, 2], partitioner=v1.fixed_size_partitioner(2), initializer=v1.ones_initializer())
    saver = ads.Saver([next(iter(table))])
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        saver.restore(session, saver.save(session, str(tmp_path / "c")))


def test_an_empty_saver_saves_nothing(graph: tf.Graph, tmp_path: Path) -> None:
    saver = ads.Saver(allow_empty=True)
    with v1.Session() as session:
        assert saver.save(session, str(tmp_path / "c")) is None


def test_an_imported_graph_exports(tmp_path: Path) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        model()
        session.run(v1.global_variables_initializer())
        path = ads.Saver().save(session, str(tmp_path / "c"))
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(path + ".meta")
        saver = ads.Saver()
        saver.restore(session, path)
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, ["serve"], saver=saver)
        builder.save()
    assert b"autodist" not in (tmp_path / "model" / "saved_model.pb").read_bytes()


def test_a_saver_from_a_definition_restores_on_a_final_graph(graph: tf.Graph, tmp_path: Path) -> None:
    model()
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        path = saver.save(session, str(tmp_path / "c"))
        graph.finalize()
        ads.Saver(saver_def=saver.as_saver_def()).restore(session, path)


def test_copies_of_two_tasks_have_different_names(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for config in ("", '{"task": 1}', '{"task": 2}', '{"task": 1}'):
        monkeypatch.setenv("TF_CONFIG", config)
        with tf.Graph().as_default() as graph:
            v1.get_variable("w", [2])
            ads.Saver()
            names.append([op.get_attr("shared_name") for op in graph.get_operations() if "/copy" in op.name])
    assert names[1] == names[3]
    assert len({tuple(name) for name in names}) == 3


def test_a_directory_in_place_of_a_checkpoint_is_told_what_to_name(graph: tf.Graph, tmp_path: Path) -> None:
    weight, train = model()
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, ["serve"], saver=saver)
        builder.save()
        saver.save(session, str(tmp_path / "checkpoints" / "model"))
        session.run(train)
        trained = session.run(weight)
        fixes = {
            "model": f"fix: name {tmp_path}/model/variables/variables",
            "checkpoints": "fix: name a checkpoint in",
        }
        for name, fix in fixes.items():
            with pytest.raises(RestoreError, match=fix) as caught:
                saver.restore(session, str(tmp_path / name))
            with pytest.raises(tf.errors.DataLossError):
                v1.train.Saver().restore(session, str(tmp_path / name))
            assert isinstance(caught.value, tf.errors.DataLossError)
            assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems  # noqa: S301
        assert session.run(weight) == trained
        saver.restore(session, str(tmp_path / "model/variables/variables"))
        assert session.run(weight) == 1.0


def test_a_checkpoint_may_have_a_directory_for_a_name(graph: tf.Graph, tmp_path: Path) -> None:
    weight, train = model()
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for kind, name in ((saver, "ours"), (v1.train.Saver(), "theirs")):
            place = f"{tmp_path}/{name}/"
            assert kind.save(session, place) == place
        assert {p.name for p in (tmp_path / "ours").iterdir()} == {p.name for p in (tmp_path / "theirs").iterdir()}
        session.run(train)
        saver.restore(session, f"{tmp_path}/ours/")
        assert session.run(weight) == 1.0
        with pytest.raises(ValueError, match="Parent directory of .* doesn't exist"):
            saver.save(session, f"{tmp_path}/no/such/")
