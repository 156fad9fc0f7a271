"""What a parameter server keeps for the next chief, and what it tells of processes of its machine."""

from __future__ import annotations

import queue
import subprocess
from collections.abc import Iterator

import pytest

from autodist_saved.control import control_pb2
from autodist_saved.control.process_identity import ProcessIdentity, start_time
from autodist_saved.control.remembered_processes import RememberedProcesses

LONG = 60.0


@pytest.fixture
def sent() -> queue.SimpleQueue[control_pb2.MemberMessage]:
    return queue.SimpleQueue()


@pytest.fixture
def memory(sent: queue.SimpleQueue[control_pb2.MemberMessage]) -> RememberedProcesses:
    return RememberedProcesses(sent.put)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def described(
    process: subprocess.Popen[bytes], life: str = "first", *, machine: str | None = None
) -> control_pb2.Process:
    here = ProcessIdentity.of_this_process()
    return control_pb2.Process(
        task="worker:0",
        life=life,
        pid=process.pid,
        started=start_time(process.pid) or 0,
        machine=here.machine if machine is None else machine,
    )


def test_what_is_remembered_is_kept_until_it_is_to_be_forgotten(
    memory: RememberedProcesses, sent: queue.SimpleQueue[control_pb2.MemberMessage], sleeper: subprocess.Popen[bytes]
) -> None:
    process = described(sleeper, machine="another")
    memory.remember(process)
    assert sent.get(timeout=LONG).remembered.life == "first"
    assert memory.alive == [process]
    sleeper.kill()
    sleeper.wait()
    assert memory.alive == [process], "it is not on this machine, whatever its pid"
    memory.forget(control_pb2.Life(task="worker:0", life="first"))
    assert memory.alive == []


def test_an_end_is_told_and_told_again_to_the_next_chief_but_not_remembered(
    memory: RememberedProcesses, sent: queue.SimpleQueue[control_pb2.MemberMessage], sleeper: subprocess.Popen[bytes]
) -> None:
    memory.remember(described(sleeper))
    memory.remember(described(sleeper))  # by another chief
    assert [sent.get(timeout=LONG).WhichOneof("kind") for _ in range(2)] == ["remembered"] * 2
    sleeper.kill()
    assert sent.get(timeout=LONG).ended.life == "first"
    assert memory.alive == []
    memory.tell_ends()
    assert sent.get(timeout=LONG).ended.life == "first"
    memory.forget(control_pb2.Life(task="worker:0", life="first"))
    memory.tell_ends()
    assert sent.empty()


def test_the_end_of_who_is_forgotten_is_not_told(
    memory: RememberedProcesses, sent: queue.SimpleQueue[control_pb2.MemberMessage], sleeper: subprocess.Popen[bytes]
) -> None:
    other = subprocess.Popen(["sleep", "600"])
    memory.remember(described(sleeper))
    memory.remember(described(other, "second"))
    memory.forget(control_pb2.Life(task="worker:0", life="first"))
    sleeper.kill()
    sleeper.wait()
    other.kill()
    kinds = [sent.get(timeout=LONG) for _ in range(3)]
    other.wait()
    assert [each.ended.life for each in kinds if each.HasField("ended")] == ["second"]
