"""Parameter servers stage their variables and give them away: real servers and sockets, all in this process."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved import Saver
from autodist_saved.errors import ExportError, TargetUnwritableError, TaskUnreachableError
from autodist_saved.options import ExportOptions, StagingWay, Transport
from autodist_saved.pipeline.capture import Capture
from autodist_saved.pipeline.stream import BundleDestination
from autodist_saved.sources.held_variables import HeldVariables
from autodist_saved.sources.session_source import SessionSource
from autodist_saved.sources.source import Staged
from autodist_saved.sources.transfer import Span
from autodist_saved.testing import RecordingCut
from autodist_saved.transport import server_connection
from autodist_saved.transport.chief_connection import ChiefConnection
from autodist_saved.transport.rendezvous import Rendezvous
from autodist_saved.transport.server_connection import serve_copies
from autodist_saved.transport.staging_memory import StagingMemory
from tests.sources.counting import CountingSession
from tests.sources.servers import start_parameter_servers
from tests.support.patience import PATIENCE_SECS
from tests.support.streamed import stream

TASKS = ("ps:0", "ps:1")


@pytest.fixture(scope="module")
def servers() -> Any:
    return start_parameter_servers(len(TASKS))


class _Job:
    """Variables on two parameter servers that connect, and what happens on the connections to them."""

    def __init__(self, servers: Sequence[Any], session: v1.Session, variables: dict[str, Any]) -> None:
        self._target = servers[0].target
        self._held = [HeldVariables(server.target, f"/job:ps/task:{n}") for n, server in enumerate(servers)]
        self.variables, self.session, self.saver = variables, session, Saver()
        session.run(v1.global_variables_initializer())
        self.memory = StagingMemory(lambda: self.free_bytes)
        self.free_bytes = 2**40
        self.nobody_waits = False
        self.absent: set[str] = set()
        self.holders: list[threading.Thread] = []
        self.rendezvous: Rendezvous | None = Rendezvous("127.0.0.1", self._invite)
        self.counting = CountingSession(session)
        self.source = self.source_of(self.saver)

    def source_of(self, saver: Saver) -> SessionSource:
        return SessionSource(
            self.counting,
            saver.staging,
            saver.turn,
            rendezvous=self.rendezvous,
            nobody_waits=lambda: self.nobody_waits,
        )

    def _invite(self, task: str, port: int, token: bytes) -> bool:
        if task in self.absent:
            return False
        opened = self._held[TASKS.index(task)].open
        self.holders.append(
            threading.Thread(target=serve_copies, args=(("127.0.0.1", port), token, opened, self.memory))
        )
        self.holders[-1].start()
        return True

    def stage(self, directory: Path, **options: Any) -> Staged:
        plan = self.source.plan()
        self.source.connect(plan, directory, ExportOptions(**options))
        self.counting.runs = 0
        return self.source.stage(plan)

    def ways(self, directory: Path, transport: Transport) -> dict[str, str]:
        self.stage(directory, transport=transport)
        return {task: transfer.way for task, transfer in self.source.transfers().items()}

    def values(self) -> dict[str, Any]:
        return dict(self.session.run(self.variables))

    def discard(self) -> None:
        """The source lets go; every connection is closed then, and its thread ends."""
        self.source.discard()
        for holder in self.holders:
            holder.join(PATIENCE_SECS)
        assert not [holder for holder in self.holders if holder.is_alive()]


@pytest.fixture
def job(graph: tf.Graph, servers: Any) -> Iterator[_Job]:
    normal = v1.random_normal_initializer(seed=3)
    thirds = v1.fixed_size_partitioner(3)
    with v1.device(v1.train.replica_device_setter(ps_tasks=2, ps_device="/job:ps", worker_device="/job:ps/task:0")):
        spread = tf.convert_to_tensor(v1.get_variable("spread", [900, 300], initializer=normal, partitioner=thirds))
    with tf.device("/job:ps/task:0"):
        variables = {
            "spread": spread,
            "rows": tf.convert_to_tensor(
                v1.get_variable("rows", [1000, 300], initializer=normal, partitioner=thirds)
            ),
            "columns": tf.convert_to_tensor(
                v1.get_variable(
                    "columns", [300, 900], initializer=normal, partitioner=v1.fixed_size_partitioner(2, axis=1)
                )
            ),
            "small": v1.get_variable("small", [7, 3], initializer=normal),
            "small_too": v1.get_variable("small_too", [5], initializer=normal),
            "scalar": v1.get_variable("scalar", initializer=np.int64(5)),
            "half": v1.get_variable("half", [3], tf.bfloat16, v1.ones_initializer()),
            "nothing": v1.get_variable("nothing", [0, 3]),
            "reference": v1.get_variable("reference", [7, 3], initializer=normal, use_resource=False),
            "old_scalar": v1.get_variable("old_scalar", initializer=np.float64(2.5), use_resource=False),
        }
    with v1.Session(servers[0].target, graph=graph) as session:
        made = _Job(servers, session, variables)
        try:
            yield made
        finally:
            made.discard()


def _count_probes(monkeypatch: pytest.MonkeyPatch, *, blind: Sequence[str] = ()) -> list[str]:
    """Whom the chief asks for a file that it has put there; ``blind`` tasks do not find it."""
    asked: list[str] = []
    sees = ChiefConnection.sees

    def counted(connection: ChiefConnection, path: Path, contents: bytes) -> bool:
        asked.append(connection.task)
        assert path.read_bytes() == contents
        return sees(connection, path, contents) and connection.task not in blind

    monkeypatch.setattr(ChiefConnection, "sees", counted)
    return asked


def test_nobody_is_asked_for_shared_files_where_streaming_was_asked_for(
    tmp_path: Path, job: _Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _count_probes(monkeypatch)
    written: list[Path] = []
    monkeypatch.setattr(Path, "write_bytes", lambda path, _: written.append(path))
    assert job.ways(tmp_path, "stream") == dict.fromkeys(TASKS, "stream")
    assert (asked, written) == ([], [])


@pytest.mark.parametrize("transport", ["auto", "shared"])
def test_who_finds_a_file_put_there_just_now_shares_the_directory(
    tmp_path: Path, job: _Job, monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    asked = _count_probes(monkeypatch)
    assert job.ways(tmp_path, transport) == dict.fromkeys(TASKS, "shared")
    assert sorted(asked) == list(TASKS)
    assert not list(tmp_path.iterdir())


def test_who_does_not_see_the_directory_streams_where_the_choice_is_left_open(
    tmp_path: Path, job: _Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_connection, "_sees", lambda _: False)
    assert job.ways(tmp_path, "auto") == dict.fromkeys(TASKS, "stream")
    assert not list(tmp_path.iterdir())


def test_each_task_goes_its_way(tmp_path: Path, job: _Job, monkeypatch: pytest.MonkeyPatch) -> None:
    _count_probes(monkeypatch, blind=["ps:1"])
    assert job.ways(tmp_path, "auto") == {"ps:0": "shared", "ps:1": "stream"}
    assert not list(tmp_path.iterdir())


def test_tasks_that_do_not_share_the_directory_are_named_where_they_must(
    tmp_path: Path, job: _Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_connection, "_sees", lambda _: False)
    with pytest.raises(ExportError, match=r"^ps:0, ps:1 cannot write to .*transport='auto'") as caught:
        job.stage(tmp_path, transport="shared")
    assert caught.value.path == str(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_task_that_did_not_come_is_blind(tmp_path: Path, job: _Job) -> None:
    job.absent = {"ps:1"}
    assert job.ways(tmp_path, "auto") == {"ps:0": "shared"}
    job.discard()
    with pytest.raises(ExportError, match="^ps:1 cannot write"):
        job.stage(tmp_path, transport="shared")
    assert not list(tmp_path.iterdir())


def test_without_a_rendezvous_there_are_no_transfers(tmp_path: Path, job: _Job) -> None:
    job.rendezvous = None
    job.source = job.source_of(job.saver)
    assert job.ways(tmp_path, "auto") == {}
    with pytest.raises(ExportError, match="^ps:0, ps:1 cannot write"):
        job.stage(tmp_path, transport="shared")
    assert not job.holders


@pytest.mark.parametrize("transport", ["auto", "shared"])
def test_a_directory_in_which_nothing_can_be_put_is_told(tmp_path: Path, job: _Job, transport: Transport) -> None:
    with pytest.raises(TargetUnwritableError, match="missing"):
        job.stage(tmp_path / "missing", transport=transport)
    assert not list(tmp_path.iterdir())


def test_the_probe_is_gone_when_a_task_is_lost_meanwhile(
    tmp_path: Path, job: _Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(connection: ChiefConnection, path: Path, contents: bytes) -> bool:
        raise TaskUnreachableError(f"{connection.task} went away", task=connection.task)

    monkeypatch.setattr(ChiefConnection, "sees", lost)
    with pytest.raises(TaskUnreachableError, match="went away"):
        job.stage(tmp_path)
    assert not list(tmp_path.iterdir())


def test_discarding_closes_the_lines_and_the_holders_end(tmp_path: Path, job: _Job) -> None:
    plan = job.stage(tmp_path, transport="stream").plan
    transfers = job.source.transfers()
    assert [holder.is_alive() for holder in job.holders] == [True, True]
    job.discard()
    variable = next(variable for variable in plan.variables if variable.name == "spread")
    piece = variable.pieces[0]
    path = tmp_path / "data"
    path.write_bytes(b"")
    with pytest.raises(TaskUnreachableError, match=piece.task):
        list(transfers[piece.task].move([Span(piece, 0, 4, 0)], path, sync=False))


@pytest.mark.parametrize("staging", ["memory", "parked"])
@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("transport", ["stream", "shared"])
def test_tensorflow_reads_what_was_streamed(
    tmp_path: Path, job: _Job, transport: Transport, sync: bool, staging: str
) -> None:
    values = job.values()
    for number in range(2):
        staged = job.stage(tmp_path, transport=transport, staging=staging)
        assert job.counting.runs == 0
        prefix = str(tmp_path / f"v{number}")
        streamed = stream(staged.plan, job.source, prefix, ExportOptions(), sync=sync)
        assert job.counting.runs == 0
        job.discard()
        assert staged.ways == dict.fromkeys(TASKS, staging)
        assert streamed.ways == dict.fromkeys(TASKS, transport)
        _check(prefix, values)
    assert not [path.name for path in tmp_path.iterdir() if not path.name.startswith("v")]


def _check(prefix: str, values: dict[str, Any]) -> None:
    reader = tf.train.load_checkpoint(prefix)
    assert sorted(reader.get_variable_to_shape_map()) == sorted(values)
    for name, value in values.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value)


@pytest.mark.parametrize("staging", ["memory", "parked"])
def test_a_variable_that_has_another_shape_by_now_is_refused(tmp_path: Path, job: _Job, staging: str) -> None:
    small = job.variables["small"]
    with small.graph.as_default():
        value = v1.placeholder_with_default(tf.ones([9, 3]), None)
        longer = tf.raw_ops.AssignVariableOp(resource=small.handle, value=value)
    job.session.run(longer)
    with pytest.raises(
        ExportError, match=r"ps:0 holds float32 \[9, 3\] where float32 \[7, 3\] was planned"
    ) as caught:
        job.stage(tmp_path, staging=staging)
    assert (caught.value.variable, caught.value.task) == ("small", "ps:0")


@pytest.mark.parametrize("staging", ["memory", "parked"])
def test_a_variable_of_unknown_shape_has_one_when_it_is_staged(tmp_path: Path, job: _Job, staging: str) -> None:
    with job.session.graph.as_default(), tf.device("/job:ps/task:1"):
        value = v1.placeholder_with_default(np.arange(6.0).reshape(3, 2), None)
        late = v1.get_variable("late", initializer=value, validate_shape=False)
        job.session.run(late.initializer)
        job.source = job.source_of(Saver({"late": late, "small": job.variables["small"]}))
    assert job.source.plan().variables[0].shape is None
    staged = job.stage(tmp_path, staging=staging)
    assert job.counting.runs == 0
    assert staged.plan.variables[0].shape == (3, 2)
    stream(staged.plan, job.source, str(tmp_path / "v"), ExportOptions())
    _check(str(tmp_path / "v"), job.session.run({"late": late, "small": job.variables["small"]}))


def test_a_parameter_server_that_cannot_dial_in_is_staged_and_read_over_the_session(
    tmp_path: Path, job: _Job
) -> None:
    job.absent = {"ps:1"}
    values = job.values()
    staged = job.stage(tmp_path, staging="parked")
    assert job.counting.runs == 1
    assert staged.ways == {"ps:0": "parked", "ps:1": "memory"}
    streamed = stream(staged.plan, job.source, str(tmp_path / "v"), ExportOptions())
    assert streamed.ways == {"ps:0": "shared", "ps:1": "read"}
    job.discard()
    _check(str(tmp_path / "v"), values)


def _all_updates(job: _Job, graph: tf.Graph) -> list[Any]:
    """Dense and sparse updates of every variable."""
    with graph.as_default():
        return [
            update
            for variable in v1.global_variables()
            if variable.dtype.base_dtype == tf.float32
            for update in (
                v1.assign_add(variable, tf.ones(variable.shape)).op,
                v1.scatter_add(variable, [0], tf.ones([1, *variable.shape[1:]])).op if variable.shape[0] else None,
            )
            if update is not None
        ]


def test_copies_do_not_follow_the_variables(tmp_path: Path, job: _Job, graph: tf.Graph) -> None:
    updates = _all_updates(job, graph)
    values = job.values()
    staged = job.stage(tmp_path, staging="memory")
    for update in updates:
        job.session.run(update)
    stream(staged.plan, job.source, str(tmp_path / "v"), ExportOptions())
    job.discard()
    _check(str(tmp_path / "v"), values)


@pytest.mark.parametrize(
    ("free_bytes", "nobody_waits", "way"),
    [
        (2**40, False, "memory"),
        (2**10, False, "parked"),
        (2**40, True, "parked"),
    ],
    ids=["fits", "does not fit", "nobody would wait for copies"],
)
def test_copies_are_made_where_somebody_waits_and_they_fit(
    tmp_path: Path, job: _Job, free_bytes: int, nobody_waits: bool, way: str
) -> None:
    job.free_bytes, job.nobody_waits = free_bytes, nobody_waits
    values = job.values()
    staged = job.stage(tmp_path)
    assert staged.ways == dict.fromkeys(TASKS, way)
    assert staged.parked == (way == "parked")
    stream(staged.plan, job.source, str(tmp_path / "v"), ExportOptions())
    job.discard()
    _check(str(tmp_path / "v"), values)


@pytest.mark.parametrize("keep", [False, True])
def test_the_memory_of_copies_is_kept_if_that_is_asked_for(tmp_path: Path, job: _Job, keep: bool) -> None:
    for _ in range(2):
        job.stage(tmp_path, staging="memory", keep_staging_memory=keep)
        assert job.memory.kept_bytes == 0
        job.source.discard()
        assert (job.memory.kept_bytes >= sum(variable.nbytes for variable in job.source.plan().variables)) == keep
        assert bool(job.memory.kept_bytes) == keep


@pytest.mark.parametrize("at", ["attach", "stage", "move"])
@pytest.mark.parametrize("staging", ["memory", "parked"])
def test_a_parameter_server_that_is_gone_is_told_and_nothing_is_left(
    tmp_path: Path, job: _Job, monkeypatch: pytest.MonkeyPatch, at: str, staging: StagingWay
) -> None:
    answer = server_connection._ServerConnection._answer
    gone = threading.Event()

    def vanish(holder: Any, request: Any) -> Any:
        if request.WhichOneof("kind") == at and not gone.is_set():
            gone.set()
            holder._connection.shutdown(socket.SHUT_RDWR)
        return answer(holder, request)

    monkeypatch.setattr(server_connection._ServerConnection, "_answer", vanish)
    cut = RecordingCut()
    options = ExportOptions(staging=staging, transport="stream", keep_staging_memory=True)
    for number in range(2):
        with (
            pytest.raises(TaskUnreachableError, match="disappeared while it sent its variables")
            if not number
            else contextlib.nullcontext()
        ):
            Capture(job.source.plan(), job.source, cut, options).run(BundleDestination(str(tmp_path / "v")))
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
        assert bool(list(tmp_path.iterdir())) == bool(number)
        assert not job.saver.turn.is_taken
        job.discard()
    assert [call for call in cut.calls if call != "extend"] == ["acquire", "release"] * (1 if at == "attach" else 2)
    assert bool(job.memory.kept_bytes) == (staging == "memory")
