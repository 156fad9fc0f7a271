"""Checkpoints of a session of ours: one moment, or none; training goes on either way."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import CutTimeoutError, ExportError, TaskUnreachableError
from autodist_saved.sources.session_source import SessionSource
from tests.support.stepping import stepping


@pytest.fixture
def add(graph: tf.Graph) -> Any:
    v1.get_variable("w", initializer=0.0, use_resource=True)
    return v1.assign_add(v1.train.get_or_create_global_step(), 1).op


def session_with(saver: ads.Saver, directory: Path) -> ads.DistributedSession:
    return ads.create_distributed_session(
        ads.Cluster.single(),
        saver=saver,
        checkpoint_dir=str(directory),
        save_checkpoint_steps=2,
        save_summaries_steps=None,
        log_step_count_steps=None,
    )


def test_a_checkpoint_that_cannot_be_one_moment_is_left_out_and_training_goes_on(
    add: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saver = ads.Saver(options=ads.ExportOptions(cut_timeout_secs=0.2))
    with session_with(saver, tmp_path) as session:
        with stepping(session.gate):
            session.run(add)
            session.run(add)
            session.run(add)
        assert caplog.text.count("no checkpoint was written this time: not every task came to the end") == 1
        assert tf.train.latest_checkpoint(str(tmp_path)).endswith("-0")
        for _ in range(3):
            session.run(add)
        assert not tf.train.latest_checkpoint(str(tmp_path)).endswith("-0")


def test_within_a_step_of_several_runs_a_checkpoint_waits_for_its_end(add: Any, tmp_path: Path) -> None:
    with session_with(ads.Saver(), tmp_path) as session:
        with session.gate.step():
            for _ in range(4):
                session.run(add)
            assert tf.train.latest_checkpoint(str(tmp_path)).endswith("-0")
        assert tf.train.latest_checkpoint(str(tmp_path)).endswith("-4")
        assert session.gate.steps == 1


def test_a_parameter_server_lost_during_a_checkpoint_does_not_end_the_training(
    add: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session_with(ads.Saver(), tmp_path) as session:
        with monkeypatch.context() as patch:
            # A mock: what a lost parameter server looks like in one process.
            lost = TaskUnreachableError("ps:0 went away")
            patch.setattr(SessionSource, "stage", lambda *_: (_ for _ in ()).throw(lost))
            for _ in range(3):
                session.run(add)
        assert "no checkpoint was written this time: ps:0 went away" in caplog.text


def test_a_restore_is_one_step(add: Any, tmp_path: Path) -> None:
    saver = ads.Saver()
    with ads.create_distributed_session(ads.Cluster.single(), saver=saver) as session:
        path = saver.save(session, str(tmp_path / "model"))
        saver.restore(session, path)
        assert session.gate.steps == 1


def test_the_last_checkpoint_fails_aloud(add: Any, tmp_path: Path) -> None:
    saver = ads.Saver(options=ads.ExportOptions(cut_timeout_secs=0.2))
    session = session_with(saver, tmp_path)
    session.run(add)
    with stepping(session.gate), pytest.raises(CutTimeoutError):
        session.close()


def test_a_save_that_fails_leaves_the_checkpoint_of_the_same_name_alone(add: Any, tmp_path: Path) -> None:
    saver = ads.Saver(options=ads.ExportOptions(cut_timeout_secs=0.2))
    with ads.create_distributed_session(ads.Cluster.single(), saver=saver) as session:
        path = saver.save(session, str(tmp_path / "model"))
        session.run(add)
        with stepping(session.gate), pytest.raises(CutTimeoutError):
            saver.save(session, str(tmp_path / "model"))
        saver.restore(session, path)
        assert session.raw_session().run(v1.train.get_global_step()) == 0


def test_a_checkpoint_waits_for_an_export_of_the_same_saver(
    add: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autodist_saved.system.deadline.FIRST_SIGN_SECS", 0.1)
    saver = ads.Saver()
    with ads.create_distributed_session(ads.Cluster.single(), saver=saver) as session:
        export = saver.turn.take_now()
        assert export

        def save() -> None:
            with session.graph.as_default():
                saver.save(session, str(tmp_path / "model"))

        saving = threading.Thread(target=save)
        saving.start()
        saving.join(0.5)
        assert saving.is_alive()
        assert "an export waits until another one of the same saver is over" in caplog.text
        export.give_back()
        saving.join()
    assert (tmp_path / "model.index").exists()


def test_a_checkpoint_does_not_wait_for_an_export_that_hangs(add: Any, tmp_path: Path) -> None:
    """Its disk may be frozen. Training would wait as long as that."""
    saver = ads.Saver(options=ads.ExportOptions(cut_timeout_secs=0.3))
    with ads.create_distributed_session(ads.Cluster.single(), saver=saver) as session:
        export = saver.turn.take_now()
        assert export
        with session.graph.as_default():
            saver.save(session, str(tmp_path / "model"))
        with pytest.raises(ExportError, match="another export or checkpoint of this saver has taken the copies"):
            export.check()
        export.give_back()
        assert saver.turn.take_now(), "the checkpoint has given it back"
