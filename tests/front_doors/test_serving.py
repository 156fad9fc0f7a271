"""Serving graphs: cut at their signatures, with the variables that these need and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import BindingError, GraphError, SignatureError, UsageError
from tests.support.served import TAGS, ask, export, ops, signatures, variables

X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)


class Job:
    """A model in training: two layers, the first one partitioned by columns, and averages."""

    def __init__(self, *, use_resource: bool = True) -> None:
        self.x = v1.placeholder(tf.float32, [None, 2], "x")
        partitioner = v1.fixed_size_partitioner(2, axis=1)
        normal = v1.random_normal_initializer(seed=1)
        first = v1.get_variable("first", [2, 5], None, normal, partitioner=partitioner, use_resource=use_resource)
        second = v1.get_variable("second", [5, 1], None, normal, use_resource=use_resource)
        self.y = tf.matmul(tf.matmul(self.x, tf.convert_to_tensor(first)), second, name="y")
        loss = tf.reduce_mean(tf.square(self.y - 1.0))
        step = v1.train.get_or_create_global_step()
        minimize = v1.train.AdamOptimizer(0.1).minimize(loss, global_step=step)
        self.averages = tf.train.ExponentialMovingAverage(0.5)
        with tf.control_dependencies([minimize]):
            self.train_op = self.averages.apply(v1.trainable_variables())
        self.variables = {"first": list(first), "second": [second]}
        self.signatures = signatures({"x": self.x}, {"y": self.y})
        self.saver = ads.Saver()

    def session(self) -> v1.Session:
        session = v1.Session()
        session.run(v1.variables_initializer(v1.trainable_variables()))  # averages begin with what these have
        session.run(v1.global_variables_initializer())
        for _ in range(3):
            session.run(self.train_op, {self.x: X})
        return session

    def averaged(self, session: v1.Session) -> dict[str, np.ndarray]:
        """The values of the averages."""
        pieces = {name: list(map(self.averages.average, held)) for name, held in self.variables.items()}
        return {name: np.concatenate(session.run(held), -1) for name, held in pieces.items()}


@pytest.fixture
def job(graph: tf.Graph) -> Job:
    return Job()


def two_graphs(job: Job, session: v1.Session, path: Path, **arguments: Any) -> Path:
    builder = ads.SavedModelBuilder(path)
    builder.add_meta_graph_and_variables(session, ["train"], job.signatures, saver=job.saver, train_op=job.train_op)
    builder.add_meta_graph(TAGS, job.signatures, saver=job.saver, serving=True, **arguments)
    builder.save()
    return path


def test_only_variables_that_signatures_need_are_saved(job: Job, tmp_path: Path) -> None:
    with job.session() as session:
        live = session.run(job.y, {job.x: X})
        export(session, tmp_path / "model", job.saver, job.signatures)
    answers, meta_graph = ask(tmp_path / "model", {"x": X})
    np.testing.assert_array_equal(answers["y"], live)
    assert {name: value.shape for name, value in variables(tmp_path / "model").items()} == {
        "first": (2, 5),
        "second": (5, 1),
    }
    assert not {"ApplyAdam", "ResourceApplyAdam", "RandomStandardNormal"} & set(ops(meta_graph))


def test_training_and_serving_graphs_share_the_variables(job: Job, tmp_path: Path) -> None:
    with job.session() as session:
        live = session.run(job.y, {job.x: X})
        two_graphs(job, session, tmp_path / "model")
    answers, meta_graph = ask(tmp_path / "model", {"x": X})
    np.testing.assert_array_equal(answers["y"], live)
    assert "saved_model_train_op" not in meta_graph.collection_def
    assert "first/Adam" in variables(tmp_path / "model")
    with tf.Graph().as_default(), v1.Session() as session:
        trained = v1.saved_model.loader.load(session, ["train"], str(tmp_path / "model"))
        (train_op,) = trained.collection_def["saved_model_train_op"].node_list.value
        before = session.run(v1.train.get_global_step())
        session.run(train_op, {"x:0": X})
        assert session.run(v1.train.get_global_step()) == before + 1


@pytest.mark.parametrize("use_resource", [True, False])
def test_loaders_find_variables_and_all_that_belongs_to_them(
    graph: tf.Graph, tmp_path: Path, use_resource: bool
) -> None:
    job = Job(use_resource=use_resource)
    with job.session() as session:
        live = session.run(job.y, {job.x: X})
        export(session, tmp_path / "model", job.saver, job.signatures)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.loader.load(session, TAGS, str(tmp_path / "model"))
        for collection in (v1.global_variables(), v1.trainable_variables()):
            assert sorted(variable.name for variable in collection) == ["first:0", "second:0"]
        values = session.run({variable.op.name: variable for variable in v1.global_variables()})
        checkpoint = v1.train.Saver().save(session, str(tmp_path / "again"))
        session.run(v1.global_variables_initializer())
        assert not np.any(session.run("y:0", {"x:0": X})), "nobody begins again with what training began with"
    for name, value in values.items():
        np.testing.assert_array_equal(value, tf.train.load_variable(checkpoint, name))
    np.testing.assert_array_equal(ask(tmp_path / "model", {"x": X})[0]["y"], live)


def test_tensorflow_2_loads_it(tmp_path: Path) -> None:
    with tf.Graph().as_default():
        job = Job()
        with job.session() as session:
            live = session.run(job.y, {job.x: X})
            export(session, tmp_path / "model", job.saver, job.signatures)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.signatures["serving_default"](x=tf.constant(X))["y"], live)
    assert sorted(variable.name for variable in loaded.variables) == ["first:0", "second:0"]


def test_the_graph_is_imported_and_saved_by_its_own_saver(job: Job, tmp_path: Path) -> None:
    with job.session() as session:
        export(session, tmp_path / "model", job.saver, job.signatures)
    _, meta_graph = ask(tmp_path / "model", {"x": X})
    with tf.Graph().as_default(), v1.Session() as session:
        saver = v1.train.import_meta_graph(meta_graph)
        saver.restore(session, f"{tmp_path}/model/variables/variables")
        saved = saver.save(session, str(tmp_path / "again"))
    assert {name for name, _ in tf.train.list_variables(saved)} == {"first", "second"}


def test_the_live_graph_is_only_read(job: Job, graph: tf.Graph, tmp_path: Path) -> None:
    with job.session() as session:
        graph.finalize()
        before = graph.as_graph_def().SerializeToString(deterministic=True)
        collections = {key: list(graph.get_collection(key)) for key in graph.collections}
        two_graphs(job, session, tmp_path / "model", moving_averages=job.averages)
        assert graph.as_graph_def().SerializeToString(deterministic=True) == before
        assert {key: list(graph.get_collection(key)) for key in graph.collections} == collections


def test_default_attributes_are_stripped_on_request(job: Job, tmp_path: Path) -> None:
    with job.session() as session:
        export(session, tmp_path / "stripped", job.saver, job.signatures, strip_default_attrs=True)
        export(session, tmp_path / "full", job.saver, job.signatures)
    sizes = {name: (tmp_path / name / "saved_model.pb").stat().st_size for name in ("stripped", "full")}
    assert sizes["stripped"] < sizes["full"]
    np.testing.assert_array_equal(*(ask(tmp_path / name, {"x": X})[0]["y"] for name in sizes))


def test_what_a_serving_graph_cannot_have_is_told_at_once(job: Job, tmp_path: Path) -> None:
    with job.session() as session:
        with pytest.raises(SignatureError) as caught:
            export(session, tmp_path / "model", job.saver, None, train_op=job.train_op)
        assert [problem.place for problem in caught.value.problems] == ["signature_def_map", "train_op"]
        with pytest.raises(UsageError, match="moving_averages with serving=True"):
            ads.SavedModelBuilder(tmp_path / "model").add_meta_graph_and_variables(
                session, TAGS, saver=job.saver, moving_averages=job.averages
            )
    assert not list(tmp_path.iterdir())


def test_a_variable_that_would_have_no_value_is_named(graph: tf.Graph, tmp_path: Path) -> None:
    x = v1.placeholder(tf.float32, [], "x")
    saved, late = v1.get_variable("saved", initializer=1.0), []
    saver = ads.Saver()
    late = [v1.get_variable(name, initializer=1.0) for name in ("late", "later")]
    y = x * saved * late[0] * late[1]
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        with pytest.raises(GraphError, match="signature 'serving_default': it needs variables .*: 'late', 'later'"):
            export(session, tmp_path / "model", saver, signatures({"x": x}, {"y": y}))
        export(
            session,
            tmp_path / "assigned",
            saver,
            signatures({"x": x}, {"y": y}),
            main_op=v1.initialize_variables(late),
        )
    assert ask(tmp_path / "assigned", {"x": 2.0})[0]["y"] == 2.0


def test_a_variable_that_the_signature_itself_changes_has_no_value_either(graph: tf.Graph, tmp_path: Path) -> None:
    x = v1.placeholder(tf.float32, [], "x")
    saved = v1.get_variable("saved", initializer=1.0)
    counter = v1.get_variable("counter", initializer=0.0, use_resource=True)
    with tf.control_dependencies([counter.assign_add(1.0)]):
        y = x * saved
    saver = ads.Saver([saved])
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        with pytest.raises(GraphError, match="main op does not assign: 'counter'"):
            export(session, tmp_path / "model", saver, signatures({"x": x}, {"y": y}))


@pytest.mark.parametrize("use_resource", [True, False])
@pytest.mark.parametrize("dtype", [tf.bool, tf.string, tf.complex64, tf.bfloat16])
def test_variables_of_any_type_are_served(
    graph: tf.Graph, tmp_path: Path, dtype: tf.DType, use_resource: bool
) -> None:
    x = v1.placeholder(tf.int32, [None], "x")
    values = np.array(["a", "b", "c"] if dtype == tf.string else [1, 0, 1]).astype(dtype.as_numpy_dtype)
    held = v1.get_variable("held", initializer=tf.constant(values), use_resource=use_resource)
    y = tf.gather(held, x)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run(y, {x: [2, 1]})
        export(session, tmp_path / "model", saver, signatures({"x": x}, {"y": y}))
    np.testing.assert_array_equal(ask(tmp_path / "model", {"x": [2, 1]})[0]["y"], live)


class TestAverages:
    def test_one_for_two_variables_has_one_place_in_what_is_written(self, job: Job, tmp_path: Path) -> None:
        average = "second/ExponentialMovingAverage"
        with job.session() as session, pytest.raises(SignatureError, match="is the average of other variables too"):
            two_graphs(job, session, tmp_path / "model", moving_averages={"second": average, "first": average})

    @pytest.mark.parametrize("use_resource", [True, False])
    def test_they_take_the_names_of_the_variables(self, graph: tf.Graph, tmp_path: Path, use_resource: bool) -> None:
        job = Job(use_resource=use_resource)
        with job.session() as session:
            averages = job.averaged(session)
            export(session, tmp_path / "model", job.saver, job.signatures, moving_averages=job.averages)
        saved = variables(tmp_path / "model")
        assert sorted(saved) == ["first", "second"]
        for name, value in averages.items():
            np.testing.assert_array_equal(saved[name], value)
        y = ask(tmp_path / "model", {"x": X})[0]["y"]
        np.testing.assert_allclose(y, X @ averages["first"] @ averages["second"], rtol=1e-6)

    def test_beside_a_training_graph_they_are_read_into_the_variables(self, job: Job, tmp_path: Path) -> None:
        with job.session() as session:
            averages = job.averaged(session)
            two_graphs(job, session, tmp_path / "model", moving_averages=job.averages)
        with tf.Graph().as_default(), v1.Session() as session:
            v1.saved_model.loader.load(session, TAGS, str(tmp_path / "model"))
            values = session.run({variable.op.name: variable for variable in v1.global_variables()})
        for name, value in averages.items():
            np.testing.assert_array_equal(values[name], value)

    def test_they_can_be_named(self, job: Job, tmp_path: Path) -> None:
        with job.session() as session:
            named = {"second": "second/ExponentialMovingAverage"}
            export(session, tmp_path / "model", job.saver, job.signatures, moving_averages=named)
            first, averages = np.concatenate(session.run(job.variables["first"]), 1), job.averaged(session)
        saved = variables(tmp_path / "model")
        np.testing.assert_array_equal(saved["second"], averages["second"])
        np.testing.assert_array_equal(saved["first"], first)

    def test_those_that_are_missing_are_listed(self, job: Job, tmp_path: Path) -> None:
        with job.session() as session:
            named = {"first": "first/none", "second": "second/none"}
            with pytest.raises(BindingError) as caught:
                export(session, tmp_path / "model", job.saver, job.signatures, moving_averages=named)
            assert [problem.place for problem in caught.value.problems] == [
                "variable 'first/none'",
                "variable 'second/none'",
            ]
            with pytest.raises(BindingError, match=r"float32 \[2, 5\] in the job, and float32 \[5, 1\]"):
                export(
                    session, tmp_path / "model", job.saver, job.signatures, moving_averages={"second": "first/Adam"}
                )
            unknown = {"third": "first", "fourth": "first"}
            with pytest.raises(SignatureError, match="no variable 'fourth'.*\n.*\n.*no variable 'third'"):
                export(session, tmp_path / "model", job.saver, job.signatures, moving_averages=unknown)
        assert not list(tmp_path.iterdir())

    def test_those_of_other_variables_are_refused(self, job: Job, tmp_path: Path) -> None:
        others = {"second/Adam": "second/Adam_1"}
        with job.session() as session:
            with pytest.raises(SignatureError, match="no variable that the signatures need has an average"):
                export(session, tmp_path / "model", job.saver, job.signatures, moving_averages=others)
            never_applied = tf.train.ExponentialMovingAverage(0.9)
            with pytest.raises(UsageError, match="call its apply"):
                export(session, tmp_path / "model", job.saver, job.signatures, moving_averages=never_applied)

    def test_what_is_wrong_with_them_is_told_with_all_the_rest(self, job: Job, tmp_path: Path) -> None:
        builder = ads.SavedModelBuilder(tmp_path / "model")
        wrong: dict[str, Any] = {"tags": "serve", "moving_averages": {"third": "first"}}
        with job.session() as session:
            for serving in (True, False):
                with pytest.raises(SignatureError) as caught:
                    builder.add_meta_graph_and_variables(
                        session, signature_def_map=job.signatures, saver=job.saver, serving=serving, **wrong
                    )
                assert [problem.place for problem in caught.value.problems] == ["moving_averages", "tags"]

    def test_a_graph_that_reads_averages_itself_has_no_use_for_them(self, job: Job, tmp_path: Path) -> None:
        (second,) = job.variables["second"]
        outputs = signatures({"x": job.x}, {"y": job.y, "average": job.averages.average(second)})
        with (
            job.session() as session,
            pytest.raises(SignatureError, match="its average .*, and both would have the same value"),
        ):
            export(session, tmp_path / "model", job.saver, outputs, moving_averages=job.averages)
