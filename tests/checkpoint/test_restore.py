"""Restoring in a stream: onto other partitionings, from whoever wrote it, and what is told where it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.checkpoint.restore import restore
from autodist_saved.errors import BundleError, RestoreError
from autodist_saved.sources import restore_ops
from autodist_saved.sources.session_sink import SessionSink
from tests.sources.counting import CountingSession
from tests.support.hostile_files import HOSTILE

WHOLE = {
    "table": np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32),
    "counts": np.arange(12, dtype=np.int64),
    "scalar": np.float32(3),
    "words": np.array([b"a", b"", b"\xff"], object),
    "empty": np.zeros((0, 4), np.float32),
}

PARTITIONERS = {
    "whole": None,
    "rows": v1.fixed_size_partitioner(5),
    "columns": v1.fixed_size_partitioner(4, axis=1),
}


def build(partitioner: Any = None, use_resource: bool = True, values: Any = None) -> dict[str, Any]:
    """The variables of ``WHOLE``; with zeros where no values are given."""
    made = {}
    for name, value in (values or {name: _empty_like(value) for name, value in WHOLE.items()}).items():
        if name == "table":
            made[name] = v1.get_variable(
                name, value.shape, initializer=_parts_of(value), partitioner=partitioner, use_resource=use_resource
            )
        else:
            made[name] = v1.get_variable(name, initializer=tf.constant(value), use_resource=use_resource)
    return made


def _parts_of(whole: np.ndarray) -> Any:
    def initialize(shape: list[int], dtype: Any = None, partition_info: Any = None) -> tf.Tensor:
        offset = partition_info.var_offset if partition_info else [0] * len(shape)
        return tf.constant(whole[tuple(slice(o, o + n) for o, n in zip(offset, shape, strict=True))], dtype)

    return initialize


def _empty_like(value: Any) -> Any:
    return np.array([b""] * value.size, object) if np.asarray(value).dtype == object else np.zeros_like(value)


def checkpoint(place: Path, saver_class: Any, partitioner: Any = None, **arguments: Any) -> str:
    with tf.Graph().as_default(), v1.Session() as session:
        build(partitioner, values=WHOLE)
        saver = saver_class(**arguments)
        session.run(v1.global_variables_initializer())
        return saver.save(session, str(place / "model"))


@pytest.fixture(params=["by rows", "whole"])
def size_of_large_pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restores small variables as if they were large, too."""
    if request.param == "by rows":
        monkeypatch.setattr(restore_ops, "ROWS_FROM_BYTES", 1)
        limits = ads.ExportOptions(chunk_bytes=64, memory_budget_bytes=4096)
        monkeypatch.setattr("autodist_saved.saver.ExportOptions", lambda: limits)


@pytest.mark.usefixtures("size_of_large_pieces")
@pytest.mark.parametrize("there", PARTITIONERS)
@pytest.mark.parametrize("here", PARTITIONERS)
@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
def test_any_partitioning_restores_from_any_other(
    graph: tf.Graph, tmp_path: Path, there: str, here: str, use_resource: bool
) -> None:
    path = checkpoint(tmp_path, ads.Saver, PARTITIONERS[there])
    variables = build(PARTITIONERS[here], use_resource)
    saver = ads.Saver()
    with v1.Session() as session:
        saver.restore(session, path)
        for name, variable in variables.items():
            np.testing.assert_array_equal(session.run(tf.convert_to_tensor(variable)), WHOLE[name])


@pytest.mark.parametrize("arguments", [{}, {"sharded": True}, {"write_version": v1.train.SaverDef.V1}], ids=str)
@pytest.mark.parametrize("partitioner", PARTITIONERS)
def test_tensorflows_checkpoints_restore(
    graph: tf.Graph, tmp_path: Path, arguments: dict[str, Any], partitioner: str
) -> None:
    path = checkpoint(tmp_path, v1.train.Saver, PARTITIONERS[partitioner], **arguments)
    variables = build()
    with v1.Session() as session:
        ads.Saver().restore(session, path)
        np.testing.assert_array_equal(session.run(variables["table"]), WHOLE["table"])


def test_a_saved_model_restores(graph: tf.Graph, tmp_path: Path) -> None:
    variables = build(values=WHOLE)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, ["serve"], saver=saver)
        builder.save()
    with v1.Session() as session:
        saver.restore(session, str(tmp_path / "model" / "variables" / "variables"))
        np.testing.assert_array_equal(session.run(variables["table"]), WHOLE["table"])


def test_an_object_based_checkpoint_restores_as_with_tensorflows_saver(graph: tf.Graph, tmp_path: Path) -> None:
    variable = v1.get_variable("w", initializer=[1.0, 2.0], use_resource=True)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        path = tf.train.Checkpoint(w=variable).save(str(tmp_path / "c"))
        session.run(variable.assign([0.0, 0.0]))
        saver.restore(session, path)
        assert session.run(variable).tolist() == [1.0, 2.0]


def test_all_that_does_not_fit_is_told_and_nothing_is_changed(graph: tf.Graph, tmp_path: Path) -> None:
    path = checkpoint(tmp_path, ads.Saver)
    table = v1.get_variable("table", initializer=np.full((12, 7), 5, np.float32))
    v1.get_variable("counts", initializer=np.zeros(12, np.int32))
    v1.get_variable("new", initializer=0.0)
    scalar = v1.get_variable("scalar", initializer=8.0)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        with pytest.raises(RestoreError) as caught:
            saver.restore(session, path)
        assert "(3 problems)" in str(caught.value)
        caught.match(r"variable 'counts': expected dtype int32 does not equal original dtype int64")
        caught.match(r"variable 'new': Key new not found in checkpoint")
        caught.match(r"variable 'table': .* to match: it is \[12, 6\] there, and \[12, 7\] here")
        assert (session.run(table) == 5).all()
        assert session.run(scalar) == 8


def test_a_damaged_checkpoint_changes_nothing(graph: tf.Graph, tmp_path: Path) -> None:
    path = checkpoint(tmp_path, ads.Saver)
    data = Path(f"{path}.data-00000-of-00001")
    damaged = bytearray(data.read_bytes())
    damaged[-7] ^= 1
    data.write_bytes(damaged)
    variables = build()
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        with pytest.raises(BundleError, match="checksum"):
            saver.restore(session, path)
        assert not session.run(variables["table"]).any()


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("model.index", "pipe", "it is a named pipe, and not a file"),
        ("model.index", "link to a device", "it is a device, and not a file"),
        ("model.index", "200 GiB of nothing", "it has 214,748,364,800 bytes"),
        ("model.data-00000-of-00001", "pipe", "it is a named pipe, and not a file"),
        ("model", "pipe", "it is a named pipe, and not a file"),
    ],
)
def test_what_is_not_a_file_is_not_waited_for(
    graph: tf.Graph, tmp_path: Path, name: str, kind: str, said: str
) -> None:
    prefix = checkpoint(tmp_path, ads.Saver)
    if name == "model":  # as if the checkpoint had TensorFlow's first format
        (tmp_path / "model.index").unlink()
    (tmp_path / name).unlink(missing_ok=True)
    HOSTILE[kind][0](tmp_path / name)
    build()
    saver = ads.Saver()
    with v1.Session() as session, pytest.raises(BundleError, match=said):
        saver.restore(session, prefix)


def test_tables_restore(graph: tf.Graph, tmp_path: Path) -> None:
    from tests.support.saveables import saveable_of

    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1, name="table")
    fill = table.insert(tf.constant(["a", "b"]), tf.constant([1, 2], tf.int64))
    v1.add_to_collection(v1.GraphKeys.SAVEABLE_OBJECTS, saveable_of(table))
    found = table.lookup(tf.constant(["a", "b", "c"]))
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(fill)
        path = saver.save(session, str(tmp_path / "c"))
    with v1.Session() as session:
        saver.restore(session, path)
        assert session.run(found).tolist() == [1, 2, -1]


def test_checkpoints_are_dense_and_read_by_tensorflow(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, ads.Saver, PARTITIONERS["columns"])
    for name, value in WHOLE.items():
        np.testing.assert_array_equal(tf.train.load_checkpoint(path).get_tensor(name), value)


def test_what_tensorflow_says_of_missing_places_is_said_here_too(graph: tf.Graph, tmp_path: Path) -> None:
    build()
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        with pytest.raises(ValueError, match="Parent directory of .* doesn't exist, can't save"):
            saver.save(session, str(tmp_path / "no" / "more" / "model"))
        with pytest.raises(ValueError, match="not a valid checkpoint"):
            saver.restore(session, str(tmp_path / "no" / "model"))
        with pytest.raises(TypeError, match="'sess' must be a Session"):
            saver.save("session", str(tmp_path / "model"))


@pytest.mark.usefixtures("size_of_large_pieces")
def test_many_variables_are_restored_with_few_sets_of_ops(graph: tf.Graph, tmp_path: Path) -> None:
    """TensorFlow prepares the whole graph for each set."""
    partitioner = v1.fixed_size_partitioner(20)
    table = v1.get_variable("table", [20, 2], initializer=v1.random_normal_initializer(), partitioner=partitioner)
    others = [v1.get_variable(f"w{number}", initializer=tf.fill([3], float(number))) for number in range(20)]
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        values = session.run([tf.convert_to_tensor(table), *others])
        path = saver.save(session, str(tmp_path / "model"))
        session.run([variable.assign(tf.zeros_like(variable)) for variable in v1.global_variables()])
        counting = CountingSession(session)
        restore(path, SessionSink(counting, saver.staging, saver._restore_ops), ads.ExportOptions(chunk_bytes=8))
        assert len(counting.fetched) == 2  # what gives large variables room, and what restores
        for restored, value in zip(session.run([tf.convert_to_tensor(table), *others]), values, strict=True):
            np.testing.assert_array_equal(restored, value)


def test_a_monitored_session_will_do(graph: tf.Graph, tmp_path: Path) -> None:
    variables = build(values=WHOLE)
    saver = ads.Saver()
    with ads.create_distributed_session(ads.Cluster.single(), saver=saver) as session:
        path = saver.save(session, str(tmp_path / "model"))
        saver.restore(session, path)
        np.testing.assert_array_equal(session.run(variables["table"]), WHOLE["table"])


@pytest.mark.usefixtures("size_of_large_pieces")
@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
def test_large_variables_travel_row_by_row_whether_partitioned_or_not(
    graph: tf.Graph, use_resource: bool, request: pytest.FixtureRequest
) -> None:
    build(PARTITIONERS["rows"], use_resource)
    v1.get_variable("many_dimensions", [2] * 9, use_resource=use_resource)
    saver = ads.Saver()
    by_rows = {
        staged.name
        for staged, restored in zip(saver.staging.pieces, saver._restore_ops.pieces, strict=True)
        if restored.rows is not None
    }
    expected = {"table", "counts"} if "by rows" in request.node.name else set()
    assert by_rows == expected
