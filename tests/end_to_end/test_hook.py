"""A job that publishes while it trains, watched as a server watches it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster, ControlFiles
from autodist_saved.control.console_client import ConsoleClient
from autodist_saved.errors import ExportError
from autodist_saved.publish.files import SavedModelFiles
from tests.support.job import Job, leave
from tests.support.patience import PATIENCE_SECS
from tests.support.published import step_of


class Watched:
    """The job, and the versions that have appeared: their step, by number, each loaded as soon as it was seen."""

    def __init__(self, results: Path) -> None:
        self.base = results / "base"
        self.job = Job(Cluster.local(ps=2, workers=1, chief=True), results)
        self.job.start("publish.py")
        self.steps: dict[int, int] = {}

    def look(self) -> None:
        visible = sorted(int(path.name) for path in self.base.glob("*") if path.name.isdigit())
        for version in visible:
            if version not in self.steps:
                assert version > max(self.steps, default=0), "versions only grow"
                self.steps[version] = self._step_of(self.base / str(version))

    def wait_for_versions(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECS
        while len(self.steps) < count:
            assert time.monotonic() < deadline, self.job.logs()
            self.look()
            time.sleep(0.01)  # as servers do: directories are polled

    def _step_of(self, model: Path) -> int:
        with tf.Graph().as_default(), v1.Session() as session:
            v1.saved_model.loader.load(session, ["serve"], str(model))
            step = step_of(model)
            assert (session.run("numbers:0") == step).all(), "one moment of the job"
            return step


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    watched = Watched(tmp_path_factory.mktemp("job"))
    try:
        for task in ("chief:0", "worker:0"):
            watched.job.wait_for(f"training-{task}")
        yield watched
    finally:
        watched.job.end()


def test_every_version_loads_when_it_appears_and_training_goes_on(watched: Watched) -> None:
    watched.wait_for_versions(4)
    steps = list(watched.steps.values())
    assert steps == sorted(set(steps))


def test_a_version_can_be_asked_for_and_another_place_cannot(watched: Watched) -> None:
    with ConsoleClient(watched.job.cluster.control_address, ControlFiles()) as visitor:
        *_, last = visitor.export(str(watched.base))
        assert Path(last.path).parent == watched.base
        assert (Path(last.path) / "saved_model.pb").exists()
        with pytest.raises(ExportError, match="publishes versions in"):
            list(visitor.export(str(watched.base / "elsewhere")))


def test_after_sigterm_there_is_a_last_version_and_the_job_ends(watched: Watched) -> None:
    watched.look()
    before = max(watched.steps)
    watched.job.kill("chief:0", signal.SIGTERM)
    statuses = watched.job.wait()
    assert statuses["chief:0"] == 128 + signal.SIGTERM
    assert statuses == dict.fromkeys(statuses, 128 + signal.SIGTERM)
    assert "ps:0 ends: chief:0 has received SIGTERM and ended the job" in watched.job.log("ps:0")
    watched.look()
    assert max(watched.steps) > before
    assert not [path for path in watched.base.iterdir() if path.name.startswith(".") and path.is_dir()]


def test_at_the_end_of_the_training_the_last_state_is_published(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    try:
        watched.wait_for_versions(1)
        leave(tmp_path, "stop", True)
        watched.job.succeed()
        watched.look()
        assert watched.job.found("done-worker:0") == []
        last = watched.base / str(max(watched.steps))
        assert watched.job.found("done-chief:0")[-1] == str(last)
        witness = json.loads(SavedModelFiles(last).manifest.read_text())["witness"]
        assert set(witness["steps"]) == {"chief:0", "worker:0"}, "the one that has finished, too"
        assert sum(witness["steps"].values()) == witness["global_step_after"]
    finally:
        watched.job.end()
