"""Versioned targets: the next number, whoever else is at it, and what is there besides."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from autodist_saved.errors import LeaseLostError, TargetUnwritableError, UsageError
from autodist_saved.publish import versioned
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.versioned import VersionedTarget
from autodist_saved.testing import TargetConformance
from tests.publish.models import GRAPHS, linked, make_version, numbers, write_model


class TestVersionedTarget(TargetConformance):
    def make(self, place: Path) -> VersionedTarget:
        return VersionedTarget(place)

    def visible(self, place: Path) -> Mapping[str, bytes]:
        """What Serving sees: directories with numbers for names."""
        return {str(path.relative_to(place)): path.read_bytes() for path in place.glob("[0-9]*/*")}


def publish(target: VersionedTarget) -> str:
    write_model(target.open().root)
    return target.commit()


def test_one_target_takes_models_one_after_the_other(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path / "models" / "flights", retention=Retention(keep=3))
    paths = [publish(target) for _ in range(12)]
    assert paths == [str(tmp_path / "models" / "flights" / str(number)) for number in range(1, 13)]
    assert numbers(tmp_path / "models" / "flights") == [10, 11, 12]
    assert linked(tmp_path / "models" / "flights") == "12"
    others = {path.name for path in (tmp_path / "models" / "flights").iterdir() if not path.name.isdigit()}
    assert others == {"latest", ".autodist_saved-lease"}


def test_by_default_the_newest_five_stay(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path)
    for _ in range(7):
        publish(target)
    assert numbers(tmp_path) == [3, 4, 5, 6, 7]


def test_the_next_version_is_above_all_that_are_there(tmp_path: Path) -> None:
    make_version(tmp_path, "0009")
    target = VersionedTarget(tmp_path, retention=Retention(keep=None))
    assert publish(target).endswith("/10")
    make_version(tmp_path, 20231122)
    assert publish(target).endswith("/20231123")
    assert (tmp_path / "0009" / "saved_model.pb").exists()


@pytest.mark.parametrize("what", ["file", "link", "dangling link", "directory", "empty directory"])
def test_what_is_in_the_way_is_passed_over_and_said_once(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "8"
    if what == "file":
        place.write_text("mine")
    elif what.endswith("link"):
        place.symlink_to(tmp_path if what == "link" else "nowhere")
    else:
        place.mkdir()
        if what == "directory":
            (place / "notes").write_text("mine")
    before = place.lstat()
    target = VersionedTarget(tmp_path)
    assert [publish(target)[-2:] for _ in range(2)] == ["/9", "10"]
    assert os.path.samestat(place.lstat(), before)
    said = f"{place} is no model and is left alone; the next version comes after it"
    assert [record.message for record in caplog.records] == [said]


@pytest.mark.parametrize("what", ["file", "empty directory", "version"])
def test_a_number_that_is_taken_meanwhile_is_not_replaced(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, renamed = versioned.rename_without_replacing, []

    def taken(source: Path, target: Path) -> None:
        renamed.append(target.name)
        if target.name == "1":
            make_version(tmp_path, 1) if what == "version" else target.mkdir() if what != "file" else target.touch()
        rename(source, target)

    monkeypatch.setattr(versioned, "rename_without_replacing", taken)
    assert publish(VersionedTarget(tmp_path)).endswith("/2")
    assert renamed == ["1", "2"]
    assert (tmp_path / "1").exists()


def test_a_listing_that_is_old_does_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        make_version(tmp_path, number)
    target = VersionedTarget(tmp_path)
    monkeypatch.setattr(versioned, "versions_in", lambda _: [])
    assert publish(target).endswith("/4")


def test_a_base_that_is_removed_meanwhile_is_an_error(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path / "base", exclusive=False)
    root = target.open().root
    (tmp_path / "base").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        target.commit()
    target.abandon()
    assert (tmp_path / "moved" / root.name).exists()


def test_all_is_on_the_disk_before_it_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = VersionedTarget(tmp_path)
    root = target.open().root
    write_model(root)
    calls: list[str] = []
    fsync, rename = os.fsync, versioned.rename_without_replacing

    def recorded_fsync(descriptor: int) -> None:
        calls.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def recorded_rename(*paths: Path) -> None:
        calls.append("rename")
        rename(*paths)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(versioned, "rename_without_replacing", recorded_rename)
    target.commit()
    at = calls.index("rename")
    assert {"saved_model.pb", "manifest.json", "assets.extra", root.name} <= set(calls[:at])
    assert calls[at + 1] == tmp_path.name


def test_one_export_at_a_time(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path)
    target.open()
    with pytest.raises(UsageError, match="another export to .* is under way; wait for it"):
        target.open()
    target.abandon()
    publish(target)


def test_nothing_staged_is_nothing_to_commit(tmp_path: Path) -> None:
    with pytest.raises(TargetUnwritableError, match="nothing was staged"):
        VersionedTarget(tmp_path).commit()


def test_no_file_is_touched_before_it_is_opened(tmp_path: Path) -> None:
    VersionedTarget(tmp_path / "base").check()
    VersionedTarget(tmp_path / "base").close()
    assert not list(tmp_path.iterdir())


def test_a_model_is_published_though_the_link_and_the_old_versions_are_stubborn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_version(tmp_path, 1)
    target = VersionedTarget(tmp_path, retention=Retention(keep=1))
    write_model(target.open().root)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refused)
    monkeypatch.setattr(Path, "unlink", refused)
    assert target.commit() == str(tmp_path / "2")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert numbers(tmp_path) == [1, 2]
    assert not list(tmp_path.glob(".*.autodist_saved-*"))


def run(code: str, base: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"{PRELUDE}{code}", str(base), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


PRELUDE = """
import os, signal, sys
from pathlib import Path
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.versioned import VersionedTarget
from tests.publish.models import write_model
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
target = VersionedTarget(base, task="chief:0")
write_model(target.open().root)
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
        with pytest.raises(LeaseLostError, match=rf"published to by process {first.pid} on .* \(chief:0\)"):
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
    (tmp_path / ".autodist_saved-lease").unlink()
    other = run(HOLD, tmp_path)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(LeaseLostError, match=f"process {other.pid} on"):
            target.commit()
        target.abandon()
        assert numbers(tmp_path) == [1]
        assert other.communicate("go\n")[0] == f"{tmp_path}/2\n"
    finally:
        other.kill()
        other.communicate()
    with pytest.raises(LeaseLostError):
        target.open()
    target.close()
    assert publish(target) == str(tmp_path / "3")


def test_a_target_that_is_closed_lets_others_publish(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path)
    publish(target)
    target.open()
    target.close()
    target.close()
    other = run(HOLD, tmp_path)
    assert other.communicate("go\n")[0] == f"open\n{tmp_path}/2\n"


def test_targets_of_one_process_share_a_base(tmp_path: Path) -> None:
    first, second = VersionedTarget(tmp_path), VersionedTarget(tmp_path)
    assert [publish(target)[-1] for target in (first, second, first)] == ["1", "2", "3"]
    first.close()
    assert publish(second).endswith("/4")


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
        assert sorted(path.name for path in base.iterdir()) == [".autodist_saved-lease", str(newest), "latest"]
        assert linked(base) == str(newest)
    assert states == {(), (1,), (1, 2), (2,)}
