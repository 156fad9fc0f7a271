"""The main job in real processes: two parameter servers, a chief and a worker, one SavedModel."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster
from autodist_saved.report.report import ExportReport
from tests.support.job import Job


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """A finished job."""
    job = Job(Cluster.local(ps=2, workers=1, chief=True), tmp_path_factory.mktemp("export"))
    try:
        job.start("export.py")
        job.succeed()
        yield job
    finally:
        job.end()


@pytest.fixture(scope="module")
def model(job: Job) -> str:
    return str(job.results / "model")


def test_plain_tensorflow_loads_it_on_one_machine_and_gets_the_jobs_answers(job: Job, model: str) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.loader.load(session, ["serve"], model)
        answers = session.run("y:0", {"x:0": np.arange(10)})
    np.testing.assert_array_equal(answers.ravel(), np.float32(job.found("values")))


def test_tensorflow_2_loads_it_too_with_a_train_op_that_needs_a_placeholder(job: Job, model: str) -> None:
    code = (
        "import sys, json, numpy, tensorflow as tf\n"
        f"model = tf.saved_model.load({model!r})\n"
        "y = model.signatures['serving_default'](x=tf.range(10))['y'].numpy().ravel()\n"
        "assert 'autodist_saved' not in sys.modules\n"
        "print(json.dumps(y.tolist()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    np.testing.assert_array_equal(np.float32(json.loads(run.stdout)), np.float32(job.found("values")))


def test_training_goes_on_from_it(model: str) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        meta_graph = v1.saved_model.loader.load(session, ["serve"], model)
        (train_op,) = meta_graph.collection_def["saved_model_train_op"].node_list.value
        step = v1.train.get_global_step()
        before, loss_before = session.run([step, "loss:0"], {"x:0": np.arange(10)})
        for _ in range(20):
            session.run(train_op, {"x:0": np.arange(10)})
        after, loss_after = session.run([step, "loss:0"], {"x:0": np.arange(10)})
    assert before >= 60
    assert after == before + 20
    assert loss_after < loss_before


def test_partitioned_variables_and_their_slots_are_whole(model: str) -> None:
    reader = tf.train.load_checkpoint(model + "/variables/variables")
    shapes = reader.get_variable_to_shape_map()
    for slot in ("", "/Adam", "/Adam_1"):
        assert shapes["rows" + slot] == [10, 4]
        assert shapes["columns" + slot] == [4, 5]
    assert not [name for name in shapes if "/part_" in name]


def test_a_variable_that_is_only_called_part_0_is_no_piece(model: str) -> None:
    assert tf.train.load_checkpoint(model + "/variables/variables").get_tensor("part_0").shape == (1,)


def test_a_graph_without_partitions_restores_from_it(model: str) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        rows = v1.get_variable("rows", [10, 4])
        columns = v1.get_variable("columns", [4, 5])
        v1.train.Saver().restore(session, model + "/variables/variables")
        reader = tf.train.load_checkpoint(model + "/variables/variables")
        np.testing.assert_array_equal(session.run(rows), reader.get_tensor("rows"))
        np.testing.assert_array_equal(session.run(columns), reader.get_tensor("columns"))


def test_no_trace_of_the_cluster_or_of_this_package_is_in_it(job: Job, model: str) -> None:
    assert any("/job:ps/task:1" in device for device in job.found("devices")), "the job did use the cluster"
    graph = Path(model, "saved_model.pb").read_bytes()
    assert b"/job:" not in graph
    assert b"autodist" not in graph
    assert not [name for name, _ in tf.train.list_variables(model + "/variables/variables") if "autodist" in name]


def test_the_report_tells_where_every_piece_was(job: Job, model: str) -> None:
    report = job.found("builder-chief:0")["report"]
    assert report["path"] == model
    assert report["witness"]["training"] == []
    assert report["witness"]["global_step_before"] == report["witness"]["global_step_after"] >= 60
    assert report["transport"] == {"ps:0": "shared", "ps:1": "shared"}
    assert report["staging"] == {"ps:0": "parked", "ps:1": "parked"}, "nobody trained any more who would have waited"
    by_name = {variable["name"]: variable for variable in report["plan"]["variables"]}
    assert {piece["task"] for piece in by_name["rows"]["pieces"]} == {"ps:0", "ps:1"}
    assert report["nbytes"] == sum(reader_bytes(model, name) for name in by_name), (
        "bytes are those of the tensors written"
    )
    assert {task: memory["staged"] for task, memory in report["memory"].items()} == {
        "chief:0": None,
        "ps:0": 0,
        "ps:1": 0,
    }
    assert all(memory["resident"] > 2**20 for memory in report["memory"].values())
    assert report["stall_seconds"] > 0
    assert list(report["seconds"])[:6] == ["plan", "describe", "open", "connect", "cut", "stage"]
    manifest = ExportReport.from_json(Path(model, "assets.extra/autodist_saved/manifest.json").read_text())
    assert manifest.path is None, "models are moved"
    assert manifest.plan is not None
    assert manifest.plan.tasks() == ("ps:0", "ps:1")


def reader_bytes(model: str, name: str) -> int:
    return tf.train.load_checkpoint(model + "/variables/variables").get_tensor(name).nbytes


def test_only_the_chief_writes(job: Job) -> None:
    worker = job.found("builder-worker:0")
    assert worker["added"] is None
    assert worker["path"] is None
    assert worker["report"]["path"] is None
    assert "chief:0 is the chief" in worker["report"]["note"]


def test_the_path_is_that_of_the_graph_file_as_tensorflow_returns_it(job: Job, model: str) -> None:
    assert job.found("builder-chief:0")["path"] == model + "/saved_model.pb"


def test_the_finalized_live_graph_is_untouched(job: Job) -> None:
    assert job.found("builder-chief:0")["graph_grew"] == 0


def test_the_chief_waits_for_the_workers_and_the_parameter_servers_return(job: Job) -> None:
    assert job.found("left-behind") == []
    assert job.found("served-ps:0")
    assert job.found("served-ps:1")


def test_nothing_but_the_model_is_left_beside_it(job: Job) -> None:
    assert not [path.name for path in job.results.iterdir() if path.name.startswith(".")]


def test_the_last_checkpoint_restores_into_a_process_without_a_cluster(job: Job) -> None:
    latest = tf.train.latest_checkpoint(str(job.results / "checkpoints"))
    with tf.Graph().as_default(), v1.Session() as session:
        rows = v1.get_variable("rows", [10, 4])
        v1.train.Saver().restore(session, latest)
        assert session.run(rows).shape == (10, 4)
