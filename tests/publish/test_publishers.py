"""Versioned targets in real processes: racing, two chiefs on one base, polled, and killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from autodist_saved.errors import OwnershipLostError
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.versioned import VersionedTarget
from tests.support.versions import GRAPHS, linked, numbers, publish, write_model


def run(code: str, base: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"{PRELUDE}{code}", str(base), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


PRELUDE = """
import os, signal, sys
from pathlib import Path
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.versioned import VersionedTarget
from tests.support.versions import write_model
base = Path(sys.argv[1])
"""

RACE = """
target = VersionedTarget(base, retention=Retention(keep=None), exclusive=False)
print("ready", flush=True)
sys.stdin.readline()
for turn in range(10):
    root = target.open().root
    write_model(root)
    (root / "who").write_text(f"{sys.argv[2]} {turn}")
    greatest = max([int(path.name) for path in base.iterdir() if path.name.isdigit()], default=0)
    version = int(Path(target.commit()).name)
    print(version, version > greatest, flush=True)
"""


def test_processes_that_race_each_get_versions_of_their_own(tmp_path: Path) -> None:
    racers = [run(RACE, tmp_path, str(racer)) for racer in range(4)]
    for racer in racers:
        assert racer.stdout is not None
        racer.stdout.readline()
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = []
    for racer in racers:
        lines = racer.communicate()[0].split("\n")[:-1]
        assert racer.returncode == 0
        assert all(line.endswith(" True") for line in lines)
        own = [int(line.split()[0]) for line in lines]
        assert own == sorted(own)
        told += own
    assert sorted(told) == numbers(tmp_path) == list(range(1, 41))
    whole = [tmp_path / str(number) for number in told]
    assert all((path / "saved_model.pb").exists() for path in whole)
    assert len(Counter((path / "who").read_text() for path in whole)) == 40
    assert linked(tmp_path) == "40"
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.isdigit()) == ["latest"]


HOLD = """
target = VersionedTarget(base)
write_model(target.open("chief:0").root)
print("open", flush=True)
sys.stdin.readline()
print(target.commit(), flush=True)
"""


def test_two_chiefs_on_one_base(tmp_path: Path) -> None:
    first = run(HOLD, tmp_path)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "open\n"
        second = VersionedTarget(tmp_path)
        with pytest.raises(OwnershipLostError, match=rf"publishes to .*: process {first.pid} on .* \(chief:0\)"):
            second.open()
        assert not list(tmp_path.glob("[0-9]*"))
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert publish(second) == str(tmp_path / "1"), "the kernel has let go of what the first one held"
        assert not list(tmp_path.glob(".version*")), "what it had staged is swept"
    finally:
        first.kill()
        first.communicate()


def test_a_chief_that_has_lost_the_base_makes_nothing_visible(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path)
    publish(target)
    write_model(target.open().root)
    (tmp_path / ".autodist_saved-owner").unlink()
    other = run(HOLD, tmp_path)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(OwnershipLostError, match=f"process {other.pid} on"):
            target.commit()
        target.abandon()
        assert numbers(tmp_path) == [1]
        assert other.communicate("go\n")[0] == f"{tmp_path}/2\n"
    finally:
        other.kill()
        other.communicate()
    assert publish(target) == str(tmp_path / "3"), "the base is asked for anew when the other one is gone"


def test_a_target_that_is_closed_lets_others_publish(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path)
    publish(target)
    target.open()
    target.close()
    target.close()
    other = run(HOLD, tmp_path)
    assert other.communicate("go\n")[0] == f"open\n{tmp_path}/2\n"


PUBLISH = """
target = VersionedTarget(base, retention=Retention(keep=2))
for number in range(1, 41):
    root = target.open().root
    write_model(root)
    (root / "data").write_text(str(number))
    target.commit()
"""


def test_a_server_that_polls_sees_whole_versions_that_only_grow(tmp_path: Path) -> None:
    publisher = run(PUBLISH, tmp_path)
    seen, is_running = [0], True
    while is_running:
        is_running = publisher.poll() is None
        newest = max(numbers(tmp_path), default=0)
        assert newest >= seen[-1]
        if newest == seen[-1]:
            continue
        seen.append(newest)
        version = tmp_path / str(newest)
        try:
            assert (version / "saved_model.pb").read_bytes() == GRAPHS
            assert (version / "data").read_text() == str(newest)
        except FileNotFoundError:
            assert max(numbers(tmp_path)) >= newest + 2, "it may only be gone because there are newer ones"
    publisher.communicate()
    assert publisher.returncode == 0
    assert seen[-1] == 40
    assert len(seen) > 5


KILL = """
EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "ctypes.dlopen"}
calls = 0

def kill_at(event, arguments):
    global calls
    calls += event in EVENTS
    if event in EVENTS and calls == count:
        os.kill(os.getpid(), signal.SIGKILL)

def publish(base):
    target = VersionedTarget(base, retention=Retention(keep=1))
    for _ in range(2):
        write_model(target.open().root)
        target.commit()

publish(base / "0")
status = 1
for count in range(1, 1000):
    child = os.fork()
    if child == 0:
        sys.addaudithook(kill_at)
        publish(base / str(count))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status != signal.SIGKILL:
        break
print(count, status)
"""


def test_a_publisher_killed_at_any_moment_leaves_no_half_version(tmp_path: Path) -> None:
    """Killed at its first, second, third... call to the file system, until it gets through."""
    runs, status = map(int, run(KILL, tmp_path).communicate()[0].split())
    assert status == 0
    assert runs > 50
    states = set()
    for base in (tmp_path / str(count) for count in range(1, runs + 1)):
        before = numbers(base) if base.exists() else []
        states.add(tuple(before))
        for number in before:
            files = {path.name for path in (base / str(number)).iterdir()}
            being_removed = files == {"assets.extra"} and number < before[-1]
            assert files == {"assets.extra", "saved_model.pb"} or being_removed
        target = VersionedTarget(base, retention=Retention(keep=1))
        publish(target)
        newest = before[-1] + 1 if before else 1
        assert sorted(path.name for path in base.iterdir()) == [".autodist_saved-owner", str(newest), "latest"]
        assert linked(base) == str(newest)
    assert states == {(), (1,), (1, 2), (2,)}
