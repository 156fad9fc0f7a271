"""A serving graph that the user builds, on the variables of the job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import BindingError, SignatureError
from tests.support.served import TAGS, ask, ops, signatures

X = np.ones([2, 3], np.float32)


def model(*, training: bool, partitioner: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
    x = v1.placeholder(tf.float32, [None, 3], "x")
    normal = v1.random_normal_initializer(seed=1)
    first = v1.get_variable("first", [3, 4], None, normal, partitioner=partitioner)
    hidden = tf.matmul(x, tf.convert_to_tensor(first))
    if training:
        hidden = tf.nn.dropout(hidden, 0.5) * v1.get_variable("only_in_training", [4])
    return x, tf.matmul(hidden, v1.get_variable("second", [4, 1], None, normal), name="y")


def serve() -> Any:
    x, y = model(training=False)
    v1.get_variable("never_needed", [7])
    return signatures({"x": x}, {"y": y})


class Job:
    def __init__(self) -> None:
        _, y = model(training=True, partitioner=v1.fixed_size_partitioner(2))
        v1.train.AdamOptimizer(0.1).minimize(tf.reduce_sum(y))
        self.averages = tf.train.ExponentialMovingAverage(0.5)
        self.averages.apply(v1.trainable_variables())
        self.saver = ads.Saver()

    def builder(self, session: v1.Session, path: Path) -> ads.SavedModelBuilder:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(path)
        builder.add_meta_graph_and_variables(session, ["train"], saver=self.saver)
        return builder


@pytest.fixture
def job(graph: tf.Graph) -> Job:
    return Job()


def test_its_variables_are_those_of_the_job_by_name(job: Job, tmp_path: Path) -> None:
    with v1.Session() as session:
        builder = job.builder(session, tmp_path / "model")
        builder.add_meta_graph_from(serve, TAGS)
        builder.save()
        *first, _, second = session.run(v1.trainable_variables())
    expected = X @ np.concatenate(first) @ second
    answers, meta_graph = ask(tmp_path / "model", {"x": X})
    np.testing.assert_allclose(answers["y"], expected, rtol=1e-6)
    assert "RandomUniform" not in ops(meta_graph)


def test_it_may_have_averages(job: Job, tmp_path: Path) -> None:
    with v1.Session() as session:
        builder = job.builder(session, tmp_path / "model")
        builder.add_meta_graph_from(serve, TAGS, moving_averages=job.averages)
        builder.save()
    _, meta_graph = ask(tmp_path / "model", {"x": X})
    names = next(node for node in meta_graph.graph_def.node if node.name == "save/RestoreV2/tensor_names")
    assert tf.make_ndarray(names.attr["value"].tensor).tolist() == [
        b"first/ExponentialMovingAverage",
        b"second/ExponentialMovingAverage",
    ]


def test_its_files_and_its_main_op_are_taken_from_its_collections(job: Job, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("3\n")

    def build() -> Any:
        path = tf.constant(str(tmp_path / "words.txt"))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
        factor = v1.get_variable("factor", [], collections=[v1.GraphKeys.LOCAL_VARIABLES], use_resource=True)
        number = tf.strings.to_number(tf.strings.strip(tf.io.read_file(path)))
        v1.add_to_collection("saved_model_main_op", factor.assign(number).op)
        x, y = model(training=False)
        return signatures({"x": x}, {"y": y * 0.0 + factor})

    with v1.Session() as session:
        builder = job.builder(session, tmp_path / "model")
        builder.add_meta_graph_from(build, TAGS)
        builder.save()
    (tmp_path / "words.txt").unlink()
    assert ask(tmp_path / "model", {"x": X})[0]["y"].tolist() == [[3.0], [3.0]]


def test_its_graph_knows_nothing_of_the_cluster_and_leaves_nothing_in_the_jobs(
    job: Job, graph: tf.Graph, tmp_path: Path
) -> None:
    seen = []

    def build() -> Any:
        seen.append(tf.constant(1))
        return serve()

    with v1.Session() as session:
        builder = job.builder(session, tmp_path / "model")
        graph.finalize()
        with tf.device("/job:ps/task:0"):
            builder.add_meta_graph_from(build, TAGS)
    assert seen[0].graph is not graph
    assert not seen[0].device


def test_variables_that_do_not_fit_are_all_named(job: Job, tmp_path: Path) -> None:
    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        first, unknown = v1.get_variable("first", [3, 5]), v1.get_variable("unknown", [5, 4])
        second = v1.get_variable("second", [4, 1], tf.float64)
        y = tf.matmul(tf.cast(tf.matmul(tf.matmul(x, first), unknown), tf.float64), second)
        return signatures({"x": x}, {"y": y})

    with v1.Session() as session:
        builder = job.builder(session, tmp_path / "model")
        with pytest.raises(BindingError) as caught:
            builder.add_meta_graph_from(build, TAGS)
        problems = {problem.place: problem.what for problem in caught.value.problems}
        assert problems == {
            "variable 'first'": "it is float32 [3, 4] in the job, and float32 [3, 5] in the graph",
            "variable 'second'": "it is float32 [4, 1] in the job, and float64 [4, 1] in the graph",
            "variable 'unknown'": "it was not captured",
        }
        builder.add_meta_graph_from(serve, TAGS)
        builder.save()
    ask(tmp_path / "model", {"x": X})


def test_files_and_requests_to_begin_with_come_along(job: Job, tmp_path: Path) -> None:
    with v1.Session() as session:
        builder = job.builder(session, tmp_path / "model")
        warmup = {"serving_default": [{"x": X}]}
        builder.add_meta_graph_from(serve, TAGS, assets_extra={"notes/about": b"text"}, warmup=warmup)
        builder.save()
    assert (tmp_path / "model" / "assets.extra" / "notes" / "about").read_bytes() == b"text"
    assert (tmp_path / "model" / "assets.extra" / "tf_serving_warmup_requests").stat().st_size


def test_tensors_of_another_graph_are_told_to_be_none_of_the_one_that_is_added(job: Job, tmp_path: Path) -> None:
    elsewhere = signatures({"x": tf.constant(1.0, name="only_there")}, {"y": tf.constant(1.0, name="there_too")})
    with v1.Session() as session:
        builder = job.builder(session, tmp_path / "model")
        with pytest.raises(SignatureError, match="there is no tensor 'only_there:0' in the graph that is added"):
            builder.add_meta_graph_from(lambda: elsewhere, TAGS)


def test_it_comes_after_the_variables_and_has_signatures(job: Job, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="add_meta_graph_and_variables"):
        ads.SavedModelBuilder(tmp_path / "model").add_meta_graph_from(serve, TAGS)
    with v1.Session() as session:
        builder = job.builder(session, tmp_path / "model")
        with pytest.raises(SignatureError, match="there are no signatures"):
            builder.add_meta_graph_from(dict, TAGS)


def test_a_task_that_is_not_the_chief_builds_nothing(job: Job, tmp_path: Path) -> None:
    cluster = ads.Cluster.local(ps=1, workers=1, chief=True).for_task(ads.Task("worker", 0))
    builder = ads.SavedModelBuilder(tmp_path / "model", cluster=cluster)
    with v1.Session() as session:
        builder.add_meta_graph_and_variables(session, TAGS, saver=job.saver)

        def build() -> Any:
            raise AssertionError("called on a worker")

        assert builder.add_meta_graph_from(build, ["serve"]) is None
