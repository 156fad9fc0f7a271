"""The console over real gRPC: what a job is doing, and exports on request, by hand and by the command line."""

from __future__ import annotations

import itertools
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from typer.testing import CliRunner

from autodist_saved.cli.main import app
from autodist_saved.cluster import Cluster, ControlFiles, Task
from autodist_saved.control import control_pb2
from autodist_saved.control.channel import MESSAGE_BYTES_MAX
from autodist_saved.control.chief_service import ChiefService
from autodist_saved.control.console_client import ConsoleClient
from autodist_saved.control.gate import Gate, Standing
from autodist_saved.control.member import Member, MemberState
from autodist_saved.control.member_client import MemberClient
from autodist_saved.control.status_reply import export_status, status_reply
from autodist_saved.cut.cut import NoCut
from autodist_saved.errors import ClusterConfigError, ExportError, JobError, TaskUnreachableError
from autodist_saved.options import ExportOptions, SessionOptions
from autodist_saved.pipeline.export import Export
from autodist_saved.publish.disk.target import LocalTarget
from autodist_saved.report.export_history import KEPT, Entry, ExportHistory
from autodist_saved.testing import ArraySource, GivenDescription


class Chief:
    """A chief's console, and what it tells of."""

    def __init__(self) -> None:
        self.cluster = Cluster.local(ps=1, workers=1, chief=True)
        self.gate, self.history = Gate(), ExportHistory()
        self.server = ChiefService(self.cluster, gate=self.gate, history=self.history)
        self.server.start()
        self.address = str(self.cluster.control_address)

    def export(self, target: str) -> None:
        export = Export("chief:0", LocalTarget(target), ExportOptions(), self.history)
        export.capture(GivenDescription(), ArraySource({"w": np.zeros(3)}, global_step=7), NoCut())
        export.publish()


@pytest.fixture
def chief() -> Iterator[Chief]:
    chief = Chief()
    yield chief
    chief.server.end_job(succeeded=False, reason="the test is over")


@pytest.fixture
def client(chief: Chief) -> Iterator[ConsoleClient]:
    with ConsoleClient(chief.address, ControlFiles()) as client:
        yield client


def test_the_status_has_every_task_and_its_steps(chief: Chief, client: ConsoleClient) -> None:
    gate = Gate()
    for some in (chief.gate, gate, gate):
        with some.step():
            pass
    worker = MemberClient(chief.cluster.for_task(Task("worker", 0)), SessionOptions(start_timeout_secs=20), gate=gate)
    worker.join()
    chief.server.park(5, 60)
    assert chief.server._wait_for(lambda: any(each.is_parked(5) for each in chief.server.members()), 20)
    tasks = {task.task: task for task in client.status().tasks}
    worker.leave()
    assert list(tasks) == ["chief:0", "worker:0", "ps:0"]
    assert [tasks[name].state for name in tasks] == ["joined", "joined", "expected"]
    assert (tasks["chief:0"].steps, tasks["worker:0"].steps) == (1, 2)
    assert tasks["worker:0"].standing == 2, "parked"
    assert tasks["worker:0"].silent_secs < 20
    assert not tasks["ps:0"].HasField("silent_secs")


def test_an_export_on_request_tells_how_it_goes_and_ends_with_the_path(
    chief: Chief, client: ConsoleClient, tmp_path: Path
) -> None:
    go_on = threading.Event()

    def export(target: str) -> None:
        assert go_on.wait(60)
        chief.export(target)

    chief.server.console.export_with(export)
    statuses = client.export(str(tmp_path / "model"))
    go_on.set()
    *_, last = statuses
    assert last.path == str(tmp_path / "model")
    assert (tmp_path / "model" / "saved_model.pb").exists()
    (entry,) = client.status().exports
    assert (entry.target, entry.path, entry.error) == (last.path, last.path, "")


def test_a_failed_export_says_why(chief: Chief, client: ConsoleClient, tmp_path: Path) -> None:
    chief.server.console.export_with(chief.export)
    (tmp_path / "model").write_text("taken")
    with pytest.raises(ExportError, match="the job did not export: TargetExistsError"):
        list(client.export(str(tmp_path / "model")))
    (entry,) = client.status().exports
    assert "TargetExistsError" in entry.error
    list(client.export(str(tmp_path / "other")))


def test_a_job_that_does_not_export_says_so(chief: Chief, client: ConsoleClient) -> None:
    with pytest.raises(JobError, match=r"session\.export_on_request"):
        list(client.export("/models/1"))
    chief.server.console.export_with(lambda _: None)
    with pytest.raises(ExportError, match="has returned without an export"):
        list(client.export("/models/1"))
    with pytest.raises(JobError, match="no target"):
        list(client.export(""))


def test_one_export_on_request_at_a_time(chief: Chief, client: ConsoleClient, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def export(target: str) -> None:
        begun.set()
        assert go_on.wait(60)
        chief.export(target)

    chief.server.console.export_with(export)
    first = threading.Thread(target=lambda: list(client.export(str(tmp_path / "first"))))
    first.start()
    assert begun.wait(60)
    with pytest.raises(JobError, match="still under way"):
        list(client.export(str(tmp_path / "second")))
    go_on.set()
    first.join()
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


def test_an_export_goes_on_when_who_asked_has_gone(chief: Chief, tmp_path: Path) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def export(target: str) -> None:
        begun.set()
        assert go_on.wait(60)
        chief.export(target)
        done.set()

    chief.server.console.export_with(export)
    with ConsoleClient(chief.address, ControlFiles()) as client:

        def ask() -> None:
            with pytest.raises(JobError):
                list(client.export(str(tmp_path / "model")))

        asking = threading.Thread(target=ask)
        asking.start()
        assert begun.wait(60)
    asking.join()
    go_on.set()
    assert done.wait(60)
    assert (tmp_path / "model" / "saved_model.pb").exists()


def test_nobody_at_the_address_is_told() -> None:
    address = str(Cluster.local(ps=1, workers=1).control_address)
    with ConsoleClient(address, ControlFiles()) as client, pytest.raises(TaskUnreachableError, match=address):
        client.status()


def test_a_port_of_tensorflow_is_told_from_the_chief() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    address = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    with (
        ConsoleClient(address, ControlFiles()) as client,
        pytest.raises(TaskUnreachableError, match=f"{address} is no control service, .* TensorFlow server of a task"),
    ):
        client.status()
    server.stop(None)


def test_the_log_names_who_asks_for_an_export(
    chief: Chief, client: ConsoleClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    chief.server.console.export_with(chief.export)
    list(client.export(str(tmp_path / "model")))
    assert re.search(r"(ipv6:\[::1\]|ipv4:127\.0\.0\.1):\d+ asks for an export to", caplog.text)


def test_the_last_exports_are_kept() -> None:
    history = ExportHistory()
    for number in range(KEPT + 3):
        history.note(history.begin(f"/models/{number}"), error="no")
    assert [entry.number for entry in history.entries()] == list(range(4, KEPT + 4))


FAILURE = "CutTimeoutError: not every task came to the end of its step within 30 s:\n" + "\n".join(
    f"  worker:{number}: its connection broke 312.4 s ago, and its process at trainer-{number}.example.com:2222 may "
    "be training; last heard of 312.6 s ago, training after 105331 steps; if it is dead, start it again there"
    for number in range(60)
)


def test_the_status_is_there_when_it_is_needed_most() -> None:
    cluster, history = Cluster.local(ps=1, workers=60, chief=True), ExportHistory()
    for number in range(KEPT):
        history.note(history.begin(f"/models/{number}"), phase="cut", error=FAILURE)
    chief = ChiefService(cluster, history=history)
    chief.start()
    try:
        with ConsoleClient(str(cluster.control_address), ControlFiles()) as client:
            reply = client.status()
        shown = CliRunner().invoke(app, ["status", str(cluster.control_address)])
    finally:
        chief.end_job(succeeded=False, reason="the test is over")
    assert [task.task for task in reply.tasks][1:] == [*(f"worker:{number}" for number in range(60)), "ps:0"]
    assert [export.target for export in reply.exports] == [f"/models/{number}" for number in reversed(range(KEPT))]
    assert all(export.error.startswith(FAILURE[:1900]) for export in reply.exports)
    assert reply.exports[0].error.endswith(f"... ({len(FAILURE)} characters; the chief's log has all)")
    assert shown.exit_code == 0
    assert "/models/9" in shown.stdout


def entries(error: str, target: str) -> list[Entry]:
    return [Entry(number, f"{target}{number}", error=error) for number in range(KEPT)]


@pytest.mark.parametrize(
    ("members", "exports", "shown"),
    [
        (0, entries("", "/models/"), KEPT),
        (4000, entries(FAILURE, "/models/"), KEPT),
        (0, entries("\N{EURO SIGN}" * 10_000, "\N{EURO SIGN}" * 10_000), 4),
        (4000, entries("\udcff" * 10_000, "\udcff" * 10_000), 4),
    ],
    ids=["all fits", "a large cluster", "long names", "names that are no text"],
)
def test_what_does_not_fit_into_a_status_is_counted(members: int, exports: list[Entry], shown: int) -> None:
    workers = [Member(Task("worker", number), MemberState.JOINED, steps=10**12) for number in range(members)]
    if workers:
        workers[-7] = replace(workers[-7], state=MemberState.LOST)
        workers[-3] = replace(workers[-3], standing=Standing.LEFT)
    reply = status_reply(control_pb2.TaskStatus(task="chief:0"), workers, exports)
    assert reply.ByteSize() < MESSAGE_BYTES_MAX - 1024
    assert len(reply.tasks) - 1 + reply.tasks_left_out == members
    assert len(reply.exports) + reply.exports_left_out == KEPT
    assert len(reply.exports) == shown
    assert reply.exports[0] == export_status(exports[-1])
    if workers:
        assert [task.task for task in reply.tasks][-2:] == [str(workers[-7].task), str(workers[-3].task)]
        assert [task.task for task in reply.tasks][:3] == ["chief:0", "worker:0", "worker:1"]


def test_a_target_that_no_path_can_be_is_refused(chief: Chief, client: ConsoleClient) -> None:
    chief.server.console.export_with(chief.export)
    with pytest.raises(JobError, match="the target is longer than 4096 bytes"):
        list(client.export("/models/" + "x" * 4096))


def test_the_command_line_shows_and_exports(chief: Chief, tmp_path: Path) -> None:
    chief.server.console.export_with(chief.export)
    exported = CliRunner().invoke(app, ["export", chief.address, str(tmp_path / "model")])
    assert exported.exit_code == 0, exported.exception
    assert exported.stdout == f"{tmp_path / 'model'}\n"
    shown = CliRunner().invoke(app, ["status", chief.address], terminal_width=200)
    assert shown.exit_code == 0
    assert "chief:0" in shown.stdout
    assert not [line for line in shown.stdout.splitlines() if line.endswith(" ")]
    assert f"{tmp_path / 'model'}  commit" in shown.stdout
    assert re.search(rf"\d+\.\d +{tmp_path / 'model'}", shown.stdout), "where the model is"
    again = CliRunner().invoke(app, ["export", chief.address, str(tmp_path / "model")])
    assert isinstance(again.exception, ExportError)


def test_the_command_line_tells_programs_in_json(chief: Chief, tmp_path: Path) -> None:
    chief.server.console.export_with(chief.export)
    model = str(tmp_path / "model")
    exported = json.loads(CliRunner().invoke(app, ["export", "--json", chief.address, model]).stdout)
    assert exported.pop("seconds") > 0
    assert exported == {"target": model, "phase": "commit", "path": model, "error": None}
    shown = json.loads(CliRunner().invoke(app, ["status", "--json", chief.address]).stdout)
    of_chief, of_worker, of_server = shown["tasks"]
    assert (of_chief["task"], of_chief["state"], of_chief["training"]) == ("chief:0", "joined", "training")
    assert (of_chief["steps"], of_chief["pid"]) == (0, os.getpid())
    assert (of_worker["state"], of_worker["training"], of_worker["silent_secs"]) == ("expected", None, None)
    assert of_server["steps"] is None, "it does not train"
    assert [export["path"] for export in shown["exports"]] == [model]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_watching_ends_with_the_job(chief: Chief, monkeypatch: pytest.MonkeyPatch, form: list[str]) -> None:
    looks = itertools.count()

    def pass_time(secs: float) -> None:
        if next(looks) == 1:
            chief.server.end_job(succeeded=False)

    monkeypatch.setattr(time, "sleep", pass_time)
    shown = CliRunner().invoke(app, ["status", "--watch", *form, chief.address], terminal_width=200)
    assert shown.exit_code == 0, shown.exception
    if form:
        assert [len(json.loads(line)["tasks"]) for line in shown.stdout.splitlines()][:2] == [3, 3]
    else:
        assert shown.stdout.endswith("the job is over\n")


def test_the_command_line_takes_a_cluster_file_and_refuses_what_is_no_address(chief: Chief, tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    rows = "".join(f"  {job}: {list(hosts)}\n" for job, hosts in chief.cluster.addresses.items())
    path.write_text(f"cluster:\n{rows}control: '{chief.address}'\n")
    assert "chief:0" in CliRunner().invoke(app, ["status", str(path)]).stdout
    assert isinstance(CliRunner().invoke(app, ["status", "nowhere"]).exception, ClusterConfigError)
    path.write_text("cluster: {chief: ['localhost:0'], ps: ['localhost:0']}")
    refused = CliRunner().invoke(app, ["status", str(path)]).exception
    assert isinstance(refused, ClusterConfigError)
    assert "the job chooses other ports\n    fix: give the address that `autodist-saved launch`" in str(refused)
