"""Copies leave parameter servers over lines of our own: real servers, a real meeting, all in this process."""

from __future__ import annotations

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
from autodist_saved.options import ExportOptions, Transport
from autodist_saved.sources.carrier import Span
from autodist_saved.sources.held_copies import HeldCopies
from autodist_saved.sources.session import SessionSource
from autodist_saved.stream import stream
from autodist_saved.transport import holder as holder_module
from autodist_saved.transport.holder import hold
from autodist_saved.transport.line import Line
from autodist_saved.transport.meeting import Meeting
from tests.sources.servers import start_parameter_servers

TASKS = ("ps:0", "ps:1")


@pytest.fixture(scope="module")
def servers() -> Any:
    return start_parameter_servers(len(TASKS))


class _Job:
    """Variables on two parameter servers, staged, and what happens on the lines to them."""

    def __init__(self, servers: Sequence[Any], session: v1.Session, variables: dict[str, Any]) -> None:
        self._target = servers[0].target
        self._held = [HeldCopies(server.target, f"/job:ps/task:{n}") for n, server in enumerate(servers)]
        self.variables, self.session, self.saver = variables, session, Saver()
        session.run(v1.global_variables_initializer())
        self.absent: set[str] = set()
        self.holders: list[threading.Thread] = []
        self.meeting = Meeting("127.0.0.1", self._invite)
        self.meeting.register(self._target)
        self.source = SessionSource(session, self.saver.staging)
        self.plan = self.source.stage(self.source.plan())

    def _invite(self, task: str, port: int, token: bytes) -> bool:
        if task in self.absent:
            return False
        open_copies = self._held[TASKS.index(task)].open
        self.holders.append(threading.Thread(target=hold, args=(("127.0.0.1", port), token, open_copies)))
        self.holders[-1].start()
        return True

    def ways(self, directory: Path, transport: Transport) -> dict[str, str]:
        return {task: carrier.way for task, carrier in self.source.carriers(directory, transport).items()}

    def discard(self) -> None:
        """The source lets go; every line is closed then, and every holder ends."""
        self.source.discard()
        for holder in self.holders:
            holder.join(10)
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
            "words": v1.get_variable("words", initializer=tf.constant([b"a", b"\xff\x00"]), use_resource=True),
        }
    with v1.Session(servers[0].target, graph=graph) as session:
        made = _Job(servers, session, variables)
        try:
            yield made
        finally:
            made.meeting.unregister()
            made.discard()


def _count_probes(monkeypatch: pytest.MonkeyPatch, *, blind: Sequence[str] = ()) -> list[str]:
    """Whom the chief asks for a file that it has put there; ``blind`` tasks do not find it."""
    asked: list[str] = []
    sees = Line.sees

    def counted(line: Line, path: Path, contents: bytes) -> bool:
        asked.append(line.task)
        assert path.read_bytes() == contents
        return sees(line, path, contents) and line.task not in blind

    monkeypatch.setattr(Line, "sees", counted)
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
    monkeypatch.setattr(holder_module, "_sees", lambda _: False)
    assert job.ways(tmp_path, "auto") == dict.fromkeys(TASKS, "stream")
    assert not list(tmp_path.iterdir())


def test_each_task_goes_its_way(tmp_path: Path, job: _Job, monkeypatch: pytest.MonkeyPatch) -> None:
    _count_probes(monkeypatch, blind=["ps:1"])
    assert job.ways(tmp_path, "auto") == {"ps:0": "shared", "ps:1": "stream"}
    assert not list(tmp_path.iterdir())


def test_tasks_that_do_not_share_the_directory_are_named_where_they_must(
    tmp_path: Path, job: _Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holder_module, "_sees", lambda _: False)
    with pytest.raises(ExportError, match=r"^ps:0, ps:1 cannot write to .*transport='auto'") as caught:
        job.source.carriers(tmp_path, "shared")
    assert caught.value.path == str(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_task_that_did_not_come_is_blind(tmp_path: Path, job: _Job) -> None:
    job.absent = {"ps:1"}
    assert job.ways(tmp_path, "auto") == {"ps:0": "shared"}
    job.discard()
    job.plan = job.source.stage(job.source.plan())
    with pytest.raises(ExportError, match="^ps:1 cannot write"):
        job.source.carriers(tmp_path, "shared")
    assert not list(tmp_path.iterdir())


def test_without_a_meeting_there_are_no_carriers(tmp_path: Path, job: _Job) -> None:
    job.meeting.unregister()
    assert job.source.carriers(tmp_path, "auto") == {}
    with pytest.raises(ExportError, match="^ps:0, ps:1 cannot write"):
        job.source.carriers(tmp_path, "shared")
    assert not job.holders


@pytest.mark.parametrize("transport", ["auto", "shared"])
def test_a_directory_in_which_nothing_can_be_put_is_told(tmp_path: Path, job: _Job, transport: Transport) -> None:
    with pytest.raises(TargetUnwritableError, match="missing"):
        job.source.carriers(tmp_path / "missing", transport)
    assert not list(tmp_path.iterdir())


def test_the_probe_is_gone_when_a_task_is_lost_meanwhile(
    tmp_path: Path, job: _Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(line: Line, path: Path, contents: bytes) -> bool:
        raise TaskUnreachableError(f"{line.task} went away", task=line.task)

    monkeypatch.setattr(Line, "sees", lost)
    with pytest.raises(TaskUnreachableError, match="went away"):
        job.source.carriers(tmp_path, "auto")
    assert not list(tmp_path.iterdir())


def test_discarding_closes_the_lines_and_the_holders_end(tmp_path: Path, job: _Job) -> None:
    carriers = job.source.carriers(tmp_path, "stream")
    assert [holder.is_alive() for holder in job.holders] == [True, True]
    job.discard()
    variable = next(variable for variable in job.plan.variables if variable.name == "spread")
    piece = variable.pieces[0]
    path = tmp_path / "data"
    path.write_bytes(b"")
    with pytest.raises(TaskUnreachableError, match=piece.task):
        list(carriers[piece.task].carry([Span(piece, 0, 4, 0)], path, sync=False))


def test_copies_that_are_not_as_planned_are_refused(
    tmp_path: Path, job: _Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach = Line.attach
    monkeypatch.setattr(Line, "attach", lambda line, copies: [(*shape, 1) for shape in attach(line, copies)])
    with pytest.raises(ExportError, match=r"float32 \["):
        job.source.carriers(tmp_path, "stream")


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("transport", ["stream", "shared"])
def test_tensorflow_reads_what_was_streamed(tmp_path: Path, job: _Job, transport: Transport, sync: bool) -> None:
    values = job.session.run(job.variables)
    for number in range(2):
        plan = job.plan if not number else job.source.stage(job.source.plan())
        prefix = str(tmp_path / f"v{number}")
        streamed = stream(plan, job.source, prefix, ExportOptions(transport=transport), sync=sync)
        job.discard()
        assert streamed.ways == dict.fromkeys(TASKS, transport)
        reader = tf.train.load_checkpoint(prefix)
        assert sorted(reader.get_variable_to_shape_map()) == sorted(values)
        for name, value in values.items():
            np.testing.assert_array_equal(reader.get_tensor(name), value)
    assert not [path.name for path in tmp_path.iterdir() if not path.name.startswith("v")]
