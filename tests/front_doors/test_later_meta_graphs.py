"""Further meta graphs restore what the first one has captured, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import BindingError
from tests.support.served import TAGS, ask, signatures

X = np.ones([1, 4], np.float32)


class Job:
    """A partitioned model in training, and averages."""

    def __init__(self) -> None:
        self.x = v1.placeholder(tf.float32, [None, 4], "x")
        w = v1.get_variable("w", [4, 1], partitioner=v1.fixed_size_partitioner(2))
        self.y = tf.matmul(self.x, tf.convert_to_tensor(w), name="y")
        minimize = v1.train.AdamOptimizer(0.1).minimize(tf.reduce_sum(self.y))
        self.averages = tf.train.ExponentialMovingAverage(0.5)
        with tf.control_dependencies([minimize]):
            self.train_op = self.averages.apply(v1.trainable_variables())
        self.signatures = signatures({"x": self.x}, {"y": self.y})
        self.saver = ads.Saver()
        self.weights_saver = v1.train.Saver(v1.trainable_variables())

    def session(self) -> v1.Session:
        session = v1.Session()
        session.run(v1.variables_initializer(v1.trainable_variables()))
        session.run(v1.global_variables_initializer())
        for _ in range(3):
            session.run(self.train_op, {self.x: X})
        return session

    def builder(self, session: v1.Session, path: Path, **arguments: Any) -> ads.SavedModelBuilder:
        builder = ads.SavedModelBuilder(path)
        builder.add_meta_graph_and_variables(
            session, TAGS, self.signatures, saver=self.saver, serving=True, **arguments
        )
        return builder


@pytest.fixture
def job(graph: tf.Graph) -> Job:
    return Job()


def places(error: BindingError) -> dict[str, str]:
    return {problem.place: problem.what for problem in error.problems}


@pytest.mark.parametrize("own", [True, False], ids=["the first saver", "a saver of its own"])
def test_a_complete_graph_cannot_follow_a_serving_graph_that_left_out_the_slots(
    job: Job, tmp_path: Path, *, own: bool
) -> None:
    with job.session() as session:
        builder = job.builder(session, tmp_path / "model")
        with pytest.raises(BindingError) as caught:
            builder.add_meta_graph(["train"], job.signatures, saver=None if own else v1.train.Saver())
        missing = ["beta1_power", "beta2_power", "w/Adam", "w/Adam_1", "w/ExponentialMovingAverage"]
        assert places(caught.value) == {f"variable {name!r}": "it was not captured" for name in missing}
        builder.add_meta_graph(["weights"], job.signatures, saver=job.weights_saver)
        builder.save()
        live = session.run(job.y, {job.x: X})
    np.testing.assert_array_equal(ask(tmp_path / "model", {"x": X}, ["weights"])[0]["y"], live)


def test_averages_are_not_taken_for_the_variables_themselves(job: Job, tmp_path: Path) -> None:
    with job.session() as session:
        builder = job.builder(session, tmp_path / "model", moving_averages=job.averages)
        wanted = {"variable 'w'": "what was captured under its name is its average 'w/ExponentialMovingAverage'"}
        with pytest.raises(BindingError) as caught:
            builder.add_meta_graph(["weights"], job.signatures, saver=job.weights_saver)
        assert places(caught.value) == wanted
        with pytest.raises(BindingError) as caught:
            builder.add_meta_graph(["raw"], job.signatures, serving=True)
        assert places(caught.value) == wanted
        builder.add_meta_graph(["again"], job.signatures, serving=True, moving_averages=job.averages)
        builder.save()
    averages, again = (ask(tmp_path / "model", {"x": X}, tags)[0]["y"] for tags in (TAGS, ["again"]))
    np.testing.assert_array_equal(averages, again)


def test_a_graph_of_other_variables_is_taken_as_tensorflow_takes_it_and_warned_of(
    job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with job.session() as session:
        builder = job.builder(session, tmp_path / "model")
        with tf.Graph().as_default():
            v1.get_variable("other", [])
            builder.add_meta_graph(["other"])
            assert "it restores other, and none was captured" in caplog.text
            with pytest.raises(BindingError, match="variable 'other': it was not captured"):
                builder.add_meta_graph(["other"], saver=v1.train.Saver())


@pytest.mark.parametrize("use_resource", [True, False])
def test_a_variable_of_another_graph_that_has_another_shape_or_type(
    job: Job, tmp_path: Path, *, use_resource: bool
) -> None:
    with job.session() as session:
        builder = job.builder(session, tmp_path / "model")
        for shape, dtype in (([5, 1], "float32"), ([4, 1], "float64")):
            with tf.Graph().as_default():
                v1.get_variable("w", shape, dtype, use_resource=use_resource)
                with pytest.raises(BindingError) as caught:
                    builder.add_meta_graph(["other"])
                what = f"it is float32 [4, 1] in the job, and {dtype} {shape} in the graph"
                assert places(caught.value) == {"variable 'w'": what}


class TestInSlices:
    """Variables of a type of which TensorFlow restores only what is stored."""

    def halves(self, partitioner: Any = None, scale: float = 1.0) -> tuple[Any, tf.Tensor, ads.Saver]:
        x = v1.placeholder(tf.float32, [None, 4], "x")
        numbered = tf.constant(np.arange(8).reshape(4, 2), tf.float16)

        def initial(shape: Any, dtype: Any, partition_info: Any = None) -> tf.Tensor:
            begin = partition_info.var_offset if partition_info else [0, 0]
            return tf.slice(numbered, begin, shape)

        w = v1.get_variable("w", [4, 2], tf.float16, initial, partitioner=partitioner)
        y = tf.matmul(x, tf.cast(tf.convert_to_tensor(w), tf.float32)) * scale
        return signatures({"x": x}, {"y": y}), y, ads.Saver()

    @pytest.mark.parametrize("axis", [0, 1])
    def test_whole_graphs_of_ours_put_the_slices_together(self, tmp_path: Path, axis: int) -> None:
        with tf.Graph().as_default():
            given, y, saver = self.halves(v1.fixed_size_partitioner(2, axis=axis))
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                live = session.run(y, {"x:0": X})
                builder = ads.SavedModelBuilder(tmp_path / "model")
                builder.add_meta_graph_and_variables(session, ["train"], given, saver=saver)
                builder.add_meta_graph(["serve"], given, saver=saver, serving=True)
        builder.add_meta_graph_from(lambda: self.halves(scale=3.0)[0], ["own"])
        builder.save()
        for tags, factor in ((["train"], 1), (["serve"], 1), (["own"], 3)):
            np.testing.assert_array_equal(ask(tmp_path / "model", {"x": X}, tags)[0]["y"], factor * live)
        for tags, factor in ((["serve"], 1), (["own"], 3)):
            loaded = tf.saved_model.load(str(tmp_path / "model"), tags=tags).signatures["serving_default"]
            np.testing.assert_array_equal(loaded(x=tf.constant(X))["y"], factor * live)

    @pytest.mark.parametrize("axis", [None, 1], ids=["whole", "in other slices"])
    def test_graphs_that_restore_something_else_are_refused(self, tmp_path: Path, axis: int | None) -> None:
        with tf.Graph().as_default():
            given, _, saver = self.halves(v1.fixed_size_partitioner(2))
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                builder = ads.SavedModelBuilder(tmp_path / "model")
                builder.add_meta_graph_and_variables(session, ["train"], given, saver=saver)
        with tf.Graph().as_default():
            partitioner = None if axis is None else v1.fixed_size_partitioner(2, axis=axis)
            given, _, saver = self.halves(partitioner)
            with pytest.raises(BindingError, match="TensorFlow restores float16 only as it is stored"):
                builder.add_meta_graph(["other"], given, saver=saver)

    def test_a_training_graph_after_a_serving_graph_is_refused(self, tmp_path: Path) -> None:
        with tf.Graph().as_default():
            given, _, saver = self.halves(v1.fixed_size_partitioner(2))
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                builder = ads.SavedModelBuilder(tmp_path / "model")
                builder.add_meta_graph_and_variables(session, ["serve"], given, saver=saver, serving=True)
                with pytest.raises(BindingError, match="stored as a whole, and a graph reads it in slices"):
                    builder.add_meta_graph(["train"], given, saver=saver)


def test_the_names_that_a_mistyped_one_is_near_to_are_said(graph: tf.Graph, tmp_path: Path) -> None:
    for name in ("embedding_table", "table", "scale"):
        v1.get_variable(name, [])
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, TAGS, saver=saver)

        def serve() -> Any:
            names = ("tabel", "scale", "scales", "embedding_table/Adam")
            return signatures({"x": v1.placeholder(tf.float32, [])}, {n: v1.get_variable(n, []) + 0.0 for n in names})

        with pytest.raises(BindingError) as caught:
            builder.add_meta_graph_from(serve, ["built"])
    fixes = {problem.place: problem.fix for problem in caught.value.problems}
    assert fixes.pop("variable 'tabel'").startswith("name it 'table' if you mean that; or add the graph that")
    assert fixes.keys() == {"variable 'scales'", "variable 'embedding_table/Adam'"}
    assert not any("if you mean that" in fix for fix in fixes.values()), "one is used, the other one is its slot"
