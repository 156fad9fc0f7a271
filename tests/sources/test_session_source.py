"""A session's variables, staged and read: every kind of variable, in one process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved import Saver
from autodist_saved.errors import ExportError, PlanError
from autodist_saved.options import ExportOptions
from autodist_saved.plan import ExportPlan, LogicalVariable, Piece
from autodist_saved.sources.plain_session import plain_session
from autodist_saved.sources.session_source import SessionSource
from autodist_saved.testing import Array, SourceConformance
from tests.sources.counting import CountingSession
from tests.support.saveables import saveable_of
from tests.support.streamed import stream


def every_kind() -> dict[str, Any]:
    """Variables of every kind, by logical name; partitioned ones as their whole tensor."""
    normal = v1.random_normal_initializer(seed=3)
    return {
        "rows": tf.convert_to_tensor(
            v1.get_variable("rows", [7, 3], initializer=normal, partitioner=v1.fixed_size_partitioner(3))
        ),
        "columns": tf.convert_to_tensor(
            v1.get_variable("columns", [3, 8], initializer=normal, partitioner=v1.fixed_size_partitioner(3, axis=1))
        ),
        "resource": v1.get_variable("resource", [2, 2], initializer=normal, use_resource=True),
        "reference": v1.get_variable("reference", [2, 2], initializer=normal, use_resource=False),
        "scalar": v1.get_variable("scalar", initializer=np.int64(5)),
        "no_rows": v1.get_variable("no_rows", [0, 3]),
        "half": v1.get_variable("half", [3], tf.bfloat16, v1.ones_initializer()),
        "words": v1.get_variable("words", initializer=tf.constant([b"a", b"\xff\x00"]), use_resource=True),
        "word": v1.get_variable("word", initializer=tf.constant(b"late")),
        "old_words": v1.get_variable("old_words", initializer=tf.constant([b"b"]), use_resource=False),
    }


class TestSessionSource(SourceConformance):
    @pytest.fixture(autouse=True)
    def _session(self, graph: tf.Graph) -> Any:
        self.variables = every_kind()
        self.saver = Saver()
        with v1.Session(graph=graph) as self.session:
            self.session.run(v1.global_variables_initializer())
            graph.finalize()
            yield

    def make(self) -> tuple[SessionSource, Mapping[str, Array]]:
        values = self.session.run(self.variables)
        values["word"] = np.array(values["word"], object)  # a scalar string comes as plain bytes
        return SessionSource(self.session, self.saver.staging, self.saver.turn), values


@pytest.fixture
def session(graph: tf.Graph) -> Any:
    with v1.Session(graph=graph) as session:
        yield session


def test_what_is_staged_does_not_follow_the_variable(session: Any) -> None:
    kinds = [
        v1.get_variable("resource", [4], use_resource=True, initializer=v1.zeros_initializer()),
        v1.get_variable("reference", [4], use_resource=False, initializer=v1.zeros_initializer()),
    ]
    saver = Saver()
    dense = [v1.assign_add(variable, tf.ones([4])) for variable in kinds]
    sparse = [v1.scatter_add(variable, [0], [5.0]) for variable in kinds]
    session.run(v1.global_variables_initializer())
    source = SessionSource(session, saver.staging, saver.turn)
    plan = source.stage(source.plan()).plan
    session.run([tensor.op for tensor in dense])
    session.run([tensor.op if hasattr(tensor, "op") else tensor for tensor in sparse])
    for variable in plan.variables:
        np.testing.assert_array_equal(source.read(variable.pieces[0], 0, 4), np.zeros(4))


def test_a_variable_is_a_slice_by_its_slice_info_and_never_by_its_name(graph: tf.Graph) -> None:
    v1.get_variable("emb/part_0", [2], initializer=v1.zeros_initializer())
    v1.get_variable("emb/part_1", [2], initializer=v1.zeros_initializer())
    plan = Saver().staging.plan
    assert [(variable.name, variable.shape) for variable in plan.variables] == [
        ("emb/part_0", (2,)),
        ("emb/part_1", (2,)),
    ]


@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        (v1.train.AdamOptimizer(0.1), ["Adam", "Adam_1"]),
        (v1.train.AdagradOptimizer(0.1), ["Adagrad"]),
        (v1.train.MomentumOptimizer(0.1, 0.9), ["Momentum"]),
        (v1.train.FtrlOptimizer(0.1), ["Ftrl", "Ftrl_1"]),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, list) else "",
)
@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
def test_slots_are_partitioned_as_their_variable(
    graph: tf.Graph, optimizer: Any, slots: list[str], use_resource: bool
) -> None:
    table = v1.get_variable("table", [5, 2], partitioner=v1.fixed_size_partitioner(2), use_resource=use_resource)
    optimizer.minimize(tf.reduce_sum(tf.nn.embedding_lookup(table, [0, 4]) ** 2))
    plan = {variable.name: variable for variable in Saver().staging.plan.variables}
    for slot in slots:
        assert plan[f"table/{slot}"].shape == (5, 2)
        assert [piece.shape for piece in plan[f"table/{slot}"].pieces] == [(3, 2), (2, 2)]


def test_a_table_has_its_shape_only_when_it_is_staged(session: Any) -> None:
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1, name="table")
    add = table.insert(tf.constant(["a", "b", "c"]), tf.constant([1, 2, 3], tf.int64))
    v1.add_to_collection(v1.GraphKeys.SAVEABLE_OBJECTS, saveable_of(table))
    saver = Saver()
    session.run(add)
    source = SessionSource(session, saver.staging, saver.turn)
    assert [variable.shape for variable in source.plan().variables] == [None, None]
    keys, values = source.stage(source.plan()).plan.variables
    assert keys == LogicalVariable("table-keys", "string", (3,), keys.pieces)
    pairs = zip(source.read(keys.pieces[0], 0, 3), source.read(values.pieces[0], 0, 3), strict=True)
    assert dict(pairs) == {b"a": 1, b"b": 2, b"c": 3}


@pytest.mark.parametrize("known", [True, False], ids=["shape known", "shape unknown"])
def test_only_the_rows_that_are_asked_for_travel(session: Any, known: bool) -> None:
    value = tf.zeros([100, 4])
    v1.get_variable(
        "w", initializer=value if known else v1.placeholder_with_default(value, None), validate_shape=known
    )
    saver = Saver()
    session.run(v1.global_variables_initializer())
    counting = CountingSession(session)
    source = SessionSource(counting, saver.staging, saver.turn)
    (variable,) = source.stage(source.plan()).plan.variables
    assert variable.shape == (100, 4)
    counting.nbytes = 0
    assert source.read(variable.pieces[0], 40, 50).shape == (10, 4)
    assert counting.nbytes == 10 * 4 * 4


def test_many_slices_are_read_with_few_sets_of_fetches(session: Any, tmp_path: Path) -> None:
    """TensorFlow prepares the whole graph for each set."""
    values = {}
    for number in range(2):
        shape, axis = ([20, 2], 0) if number % 2 else ([2, 20], 1)
        partitioner = v1.fixed_size_partitioner(20, axis=axis)
        table = v1.get_variable(
            f"t{number}", shape, initializer=v1.random_normal_initializer(), partitioner=partitioner
        )
        values[f"t{number}"] = tf.convert_to_tensor(table)
    for number in range(20):
        values[f"word{number}"] = v1.get_variable(f"word{number}", initializer=tf.constant([f"word {number}"]))
    saver = Saver()
    session.run(v1.global_variables_initializer())
    values = session.run(values)
    counting = CountingSession(session)
    source = SessionSource(counting, saver.staging, saver.turn)
    plan = source.stage(source.plan()).plan
    stream(plan, source, str(tmp_path / "v"), ExportOptions())
    stream(plan, source, str(tmp_path / "v"), ExportOptions(chunk_bytes=8))
    assert len(counting.fetched) == 2  # what stages, and what reads
    reader = tf.train.load_checkpoint(str(tmp_path / "v"))
    for name, value in values.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value)


def test_one_export_at_a_time_uses_the_copies_of_a_saver(session: Any, tmp_path: Path) -> None:
    v1.get_variable("w", initializer=tf.ones([2]), use_resource=True)
    saver = Saver()
    session.run(v1.global_variables_initializer())
    first, second = (SessionSource(session, saver.staging, saver.turn) for _ in range(2))
    first.connect(first.plan(), tmp_path, ExportOptions())
    (variable,) = first.stage(first.plan()).plan.variables
    with pytest.raises(ExportError, match="another export of this saver is under way; wait for it"):
        second.connect(second.plan(), tmp_path, ExportOptions())
    second.discard()
    np.testing.assert_array_equal(first.read(variable.pieces[0], 0, 2), [1, 1])
    first.discard()
    second.connect(second.plan(), tmp_path, ExportOptions())
    second.discard()


def test_an_export_that_hangs_loses_its_copies_to_the_next_and_neither_mixes_them_up(
    session: Any, tmp_path: Path
) -> None:
    variable = v1.get_variable("w", initializer=tf.ones([2]), use_resource=True)
    double = v1.assign_add(variable, variable).op
    saver = Saver()
    session.run(v1.global_variables_initializer())
    first, second = (SessionSource(session, saver.staging, saver.turn) for _ in range(2))
    first.connect(first.plan(), tmp_path, ExportOptions())
    first.stage(first.plan())
    session.run(double)
    second.connect(second.plan(), tmp_path, ExportOptions(when_busy="wait", cut_timeout_secs=0.1))
    (planned,) = second.stage(second.plan()).plan.variables
    for read in (lambda: first.read(planned.pieces[0], 0, 2), lambda: first.read_together(planned.pieces)):
        with pytest.raises(ExportError, match="has taken the copies of this one"):
            read()
    with pytest.raises(ExportError, match="has taken the copies of this one"):
        first.stage(first.plan())
    first.discard()
    np.testing.assert_array_equal(second.read(planned.pieces[0], 0, 2), [2, 2])
    second.discard()
    assert not saver.turn.is_taken


def test_a_global_step_without_a_value_is_none(session: Any) -> None:
    saver = Saver([v1.get_variable("w", [2])])
    source = SessionSource(session, saver.staging, saver.turn)
    assert source.global_step() is None
    step = v1.train.create_global_step()
    assert source.global_step() is None
    session.run(step.initializer)
    assert source.global_step() == 0


def test_pieces_that_disagree_about_the_whole_are_refused(graph: tf.Graph) -> None:
    for number, rows in enumerate((4, 5)):
        piece = v1.get_variable(f"piece_{number}", [2, 2])
        piece._set_save_slice_info(tf.Variable.SaveSliceInfo("whole", [rows, 2], [2 * number, 0], [2, 2]))
    pieces = v1.global_variables()
    with pytest.raises(PlanError, match="variable 'whole': its pieces say different things of the whole"):
        _ = Saver({"whole": pieces}).staging.plan


def test_some_variables_can_be_staged_without_the_others(session: Any) -> None:
    for name, dtype in (("a", tf.float32), ("b", tf.int32)):  # of one type they would share a copy
        v1.get_variable(name, initializer=tf.ones([2], dtype), use_resource=True)
    saver = Saver()
    session.run(v1.global_variables_initializer())
    source = SessionSource(session, saver.staging, saver.turn)
    plan = source.stage(ExportPlan(source.plan().variables[:1])).plan
    assert [variable.name for variable in plan.variables] == ["a"]
    source.read(saver.staging.plan.variables[0].pieces[0], 0, 2)
    with pytest.raises(tf.errors.OpError):
        source.read(saver.staging.plan.variables[1].pieces[0], 0, 2)


def test_copies_hold_no_memory_after_they_are_discarded(session: Any) -> None:
    v1.get_variable("w", initializer=tf.zeros([4]), use_resource=True)
    saver = Saver()
    session.run(v1.global_variables_initializer())
    source = SessionSource(session, saver.staging, saver.turn)
    (variable,) = source.stage(source.plan()).plan.variables
    source.discard()
    with pytest.raises(tf.errors.OpError):
        source.read(variable.pieces[0], 0, 4)


def test_pieces_know_their_task_by_their_device(graph: tf.Graph) -> None:
    with tf.device("/job:ps/task:3/device:CPU:0"):
        v1.get_variable("far", [2])
    v1.get_variable("near", [2])
    far, near = Saver().staging.plan.variables
    assert far.pieces == (Piece(0, "ps:3", (0,), (2,)),)
    assert near.pieces[0].task == "local"


def test_copies_stay_on_the_machine_of_their_piece_and_in_its_ordinary_memory(graph: tf.Graph) -> None:
    with tf.device("/job:ps/task:1/device:GPU:0"):
        v1.get_variable("w", [2])
    copies = [op for op in (Saver(), graph.get_operations())[1] if op.type == "VarHandleOp" and "copy" in op.name]
    assert [op.device for op in copies] == ["/job:ps/task:1/device:CPU:0"]


def test_the_plain_session_inside_any_session_is_found(graph: tf.Graph) -> None:
    v1.train.get_or_create_global_step()
    with v1.train.MonitoredTrainingSession() as monitored:
        assert isinstance(plain_session(monitored), v1.Session)
    with v1.train.SingularMonitoredSession() as singular:
        assert isinstance(plain_session(singular), v1.Session)
    with v1.Session() as plain:
        assert plain_session(plain) is plain


def test_small_variables_of_one_type_on_one_task_travel_together(session: Any) -> None:
    for number in range(50):
        v1.get_variable(
            f"v{number}", initializer=tf.fill([number % 3 + 1], float(number)), use_resource=number % 2 == 0
        )
    large = v1.get_variable("large", [300, 300], initializer=v1.ones_initializer())
    saver = Saver()
    session.run(v1.global_variables_initializer())
    assert len(saver.staging.copies) == 2
    counting = CountingSession(session)
    source = SessionSource(counting, saver.staging, saver.turn)
    plan = source.stage(source.plan()).plan
    (batch,) = plan.batches(2**20)
    counting.runs = 0
    arrays = source.read_together([variable.pieces[0] for variable in batch])
    assert counting.runs == 1
    for variable, array in zip(batch, arrays, strict=True):
        number = int(variable.name[1:])
        np.testing.assert_array_equal(array, np.full([number % 3 + 1], number, np.float32))
    assert [variable.name for variable in plan.unpacked()] == [large.op.name]


def test_variables_on_two_tasks_are_in_two_packs(graph: tf.Graph) -> None:
    for number in range(6):
        with tf.device(f"/job:ps/task:{number % 2}"):
            v1.get_variable(f"v{number}", [2])
    batches = list(Saver().staging.plan.batches(2**20))
    assert [[variable.name for variable in batch] for batch in batches] == [["v0", "v2", "v4"], ["v1", "v3", "v5"]]
    assert [{variable.pieces[0].task for variable in batch} for batch in batches] == [{"ps:0"}, {"ps:1"}]


def test_a_small_variable_that_has_another_length_by_now_is_refused_and_shifts_no_neighbour(graph: tf.Graph) -> None:
    variables = [v1.get_variable(name, [10], use_resource=False) for name in "abc"]
    longer = v1.assign(variables[0], tf.fill([15], 7.0), validate_shape=False)
    shorter = v1.assign(variables[2], tf.fill([5], 9.0), validate_shape=False)
    saver = Saver()
    with v1.Session(graph=graph) as session:
        session.run(v1.global_variables_initializer())
        session.run([longer, shorter])
        source = SessionSource(session, saver.staging, saver.turn)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[(5|15)\] is not compatible with expected shape"):
            source.stage(source.plan())
        source.discard()
