"""A monitored session with our saver saves, restores and recovers as with TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from tests.tensorflow_behaviour.models import fresh_session, global_values

Variable = Callable[..., Any]
BOTH_VERSIONS = pytest.mark.parametrize("version", [v1.train.SaverDef.V1, v1.train.SaverDef.V2], ids=["V1", "V2"])


def model() -> Any:
    """A train op that adds one to a weight and to the global step."""
    weight = v1.get_variable("w", initializer=0.0)
    step = v1.train.get_or_create_global_step()
    with tf.control_dependencies([v1.assign_add(weight, 1.0)]):
        return tf.group(v1.assign_add(step, 1))


def train(place: Path, steps: int, *, saver: Any = None, **arguments: Any) -> dict[str, Any]:
    """Values of the variables of a new graph when it has run so many steps."""
    with tf.Graph().as_default():
        train_op = model()
        scaffold = v1.train.Scaffold(saver=saver() if saver else ads.Saver())
        with v1.train.MonitoredTrainingSession(checkpoint_dir=str(place), scaffold=scaffold, **arguments) as session:
            for _ in range(steps):
                session.run(train_op)
            return global_values(session)


@BOTH_VERSIONS
def test_it_saves_at_the_end_and_goes_on_from_there(version: int, tmp_path: Path) -> None:
    def saver() -> Any:
        return ads.Saver(write_version=version)

    assert train(tmp_path, 3, saver=saver) == {"w": 3.0, "global_step": 3}
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-3")
    assert train(tmp_path, 0, saver=saver) == {"w": 3.0, "global_step": 3}
    assert train(tmp_path, 2, saver=saver) == {"w": 5.0, "global_step": 5}


def test_a_saver_may_be_built_by_the_scaffold(tmp_path: Path) -> None:
    train(tmp_path, 1, saver=lambda: ads.Saver(defer_build=True))
    assert train(tmp_path, 0, saver=lambda: ads.Saver(defer_build=True)) == {"w": 1.0, "global_step": 1}


def test_it_saves_every_so_many_steps_and_keeps_so_many(tmp_path: Path) -> None:
    arguments = {"save_checkpoint_steps": 2, "save_checkpoint_secs": None}
    train(tmp_path, 7, saver=lambda: ads.Saver(max_to_keep=3), **arguments)
    paths = tf.train.get_checkpoint_state(str(tmp_path)).all_model_checkpoint_paths
    assert [Path(path).name for path in paths] == ["model.ckpt-4", "model.ckpt-6", "model.ckpt-7"]
    assert {*tmp_path.glob("*.index")} == {Path(f"{path}.index") for path in paths}


def test_checkpoints_from_before_are_deleted_in_their_turn(tmp_path: Path) -> None:
    for _ in range(4):
        train(tmp_path, 1, saver=lambda: ads.Saver(max_to_keep=2))
    assert {path.name for path in tmp_path.glob("*.index")} == {"model.ckpt-3.index", "model.ckpt-4.index"}


def test_our_checkpoints_and_tensorflows_are_taken_in_turn(tmp_path: Path) -> None:
    for expected, saver in enumerate((ads.Saver, v1.train.Saver, ads.Saver), 1):
        assert train(tmp_path, 1, saver=saver) == {"w": expected, "global_step": expected}


@pytest.mark.parametrize("saver", [ads.Saver, v1.train.Saver])
def test_it_recovers_without_variables(saver: Any) -> None:
    class Aborting(v1.train.SessionRunHook):
        def __init__(self) -> None:
            self.runs = 0

        def before_run(self, run_context: Any) -> None:
            self.runs += 1
            if self.runs == 2:
                raise tf.errors.AbortedError(None, None, "aborted")

    with tf.Graph().as_default():
        answer, hook = tf.constant(6) * 7, Aborting()
        scaffold = v1.train.Scaffold(saver=saver(allow_empty=True))
        with v1.train.MonitoredTrainingSession(scaffold=scaffold, hooks=[hook]) as session:
            assert [session.run(answer) for _ in range(2)] == [42, 42]
    assert hook.runs == 3


@pytest.mark.parametrize("error", [tf.errors.AbortedError, tf.errors.UnavailableError])
def test_it_recovers_from_the_last_checkpoint_when_a_step_is_aborted(error: Any, tmp_path: Path) -> None:
    class Aborting(v1.train.SessionRunHook):
        def __init__(self) -> None:
            self.sessions = self.runs = 0

        def after_create_session(self, session: Any, coord: Any) -> None:
            self.sessions += 1

        def before_run(self, run_context: Any) -> None:
            self.runs += 1
            if self.runs == 4:
                raise error(None, None, "aborted")

    hook = Aborting()
    arguments = {"hooks": [hook], "save_checkpoint_steps": 1, "save_checkpoint_secs": None}
    assert train(tmp_path, 5, **arguments) == {"w": 5.0, "global_step": 5}
    assert hook.sessions == 2


def test_other_errors_end_it_and_nothing_is_saved_of_the_step(tmp_path: Path) -> None:
    class Failing(v1.train.SessionRunHook):
        def after_run(self, run_context: Any, run_values: Any) -> None:
            raise RuntimeError("a hook has failed")

    with pytest.raises(RuntimeError, match="a hook has failed"):
        train(tmp_path, 1, hooks=[Failing()])
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-0")


def test_a_checkpoint_of_another_graph_is_told(tmp_path: Path) -> None:
    train(tmp_path, 1)
    with tf.Graph().as_default():
        model()
        v1.get_variable("new", initializer=0.0)
        scaffold = v1.train.Scaffold(saver=ads.Saver())
        with pytest.raises(tf.errors.NotFoundError, match="Key new not found in checkpoint"):
            v1.train.MonitoredTrainingSession(checkpoint_dir=str(tmp_path), scaffold=scaffold)


def test_a_session_creator_takes_a_file_and_runs_the_init_function_or_not(tmp_path: Path) -> None:
    train(tmp_path, 2)
    with tf.Graph().as_default():
        model()
        scaffold = v1.train.Scaffold(saver=ads.Saver(), init_fn=lambda *_: pytest.fail("it was restored"))
        creator = v1.train.ChiefSessionCreator(scaffold, checkpoint_filename_with_path=str(tmp_path / "model.ckpt-2"))
        with v1.train.MonitoredSession(creator) as session:
            assert global_values(session) == {"w": 2.0, "global_step": 2}


class Listener(v1.train.CheckpointSaverListener):
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def begin(self) -> None:
        self.told.append("begin")

    def before_save(self, session: Any, global_step_value: int) -> None:
        self.told.append(("before", global_step_value))

    def after_save(self, session: Any, global_step_value: int) -> Any:
        self.told.append(("after", global_step_value))
        return global_step_value >= 3

    def end(self, session: Any, global_step_value: int) -> None:
        self.told.append(("end", global_step_value))


def test_listeners_are_called_and_can_ask_to_stop(tmp_path: Path) -> None:
    listener = Listener()
    with tf.Graph().as_default():
        train_op = model()
        scaffold = v1.train.Scaffold(saver=ads.Saver())
        hook = v1.train.CheckpointSaverHook(str(tmp_path), save_steps=1, scaffold=scaffold, listeners=[listener])
        creator = v1.train.ChiefSessionCreator(scaffold, checkpoint_dir=str(tmp_path))
        with v1.train.MonitoredSession(creator, hooks=[hook]) as session:
            while not session.should_stop():
                session.run(train_op)
    saves = [step for what, step in (told for told in listener.told if told != "begin") if what == "after"]
    assert listener.told[0] == "begin"
    assert listener.told[-1] == ("end", saves[-1])
    assert saves[0] == 0
    assert saves[-1] == 3


def test_a_hook_takes_a_saver_or_a_scaffold(tmp_path: Path) -> None:
    with tf.Graph().as_default():
        train_op = model()
        saver = ads.Saver()
        with pytest.raises(ValueError, match="cannot provide both saver and scaffold"):
            v1.train.CheckpointSaverHook(
                str(tmp_path), save_steps=1, saver=saver, scaffold=v1.train.Scaffold(saver=saver)
            )
        hook = v1.train.CheckpointSaverHook(str(tmp_path), save_steps=1, saver=saver, checkpoint_basename="mine")
        with v1.train.SingularMonitoredSession(hooks=[hook]) as session:
            session.run(train_op)
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "mine-1")


def test_the_saver_in_the_collection_is_the_scaffolds(tmp_path: Path) -> None:
    with tf.Graph().as_default():
        model()
        saver = ads.Saver()
        v1.add_to_collection(v1.GraphKeys.SAVERS, saver)
        scaffold = v1.train.Scaffold().finalize()
        assert scaffold.saver is saver


def test_the_session_of_a_monitored_session_will_do_for_the_saver(variable: Variable, tmp_path: Path) -> None:
    with fresh_session():
        variable(1.0, name="v")
        saver = ads.Saver()
        with v1.train.MonitoredSession() as session:
            raw = session.run_step_fn(lambda step_context: step_context.session)
            assert saver.save(raw, str(tmp_path / "c")) == str(tmp_path / "c")
            saver.restore(session, str(tmp_path / "c"))
