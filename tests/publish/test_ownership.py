"""Ownership: one process publishes into a base, and a restarted one takes over at once."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autodist_saved.errors import OwnershipLostError, TargetError
from autodist_saved.publish import lock
from autodist_saved.publish.ownership import LockedOwnership
from autodist_saved.publish.versioned import VersionedTarget
from tests.publish.other_owner import other_owner
from tests.support.versions import publish, write_model


def file_of(base: Path) -> Path:
    (file,) = base.iterdir()
    return file


def record(base: Path) -> dict[str, Any]:
    return json.loads(file_of(base).read_text())


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(lock.errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", flock)


def test_the_file_says_who_holds_it(tmp_path: Path) -> None:
    ownership = LockedOwnership.of(tmp_path, "chief:0")
    found = record(tmp_path)
    assert found.pop("since").endswith("+00:00")
    assert re.fullmatch(r"[0-9a-f-]{36} pid:\[\d+\]", found.pop("pids"))
    assert found == {"generation": 1, "host": socket.gethostname(), "pid": os.getpid(), "task": "chief:0"}
    assert file_of(tmp_path).name.startswith("."), "no server looks at it"
    ownership.check()


def test_a_second_process_is_refused_by_name_until_the_first_is_killed(tmp_path: Path) -> None:
    with other_owner(tmp_path) as first:
        since = record(tmp_path)["since"]
        with pytest.raises(OwnershipLostError) as caught:
            LockedOwnership.of(tmp_path)
        assert isinstance(caught.value, TargetError)
        assert str(caught.value) == (
            f"another process publishes to {tmp_path}: process {first.pid} on {socket.gethostname()} (chief:0), "
            f"since {since}; end that process first, or publish to another base directory"
        )
        first.send_signal(signal.SIGKILL)
        first.wait()
        LockedOwnership.of(tmp_path).check()
    assert record(tmp_path)["generation"] == 2
    assert record(tmp_path)["pid"] == os.getpid()


def test_one_process_holds_it_once_and_shares_it(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "link").symlink_to("base")
    first = LockedOwnership.of(tmp_path / "base")
    second = LockedOwnership.of(tmp_path / "link")
    assert first is second
    del first
    second.check()
    assert record(tmp_path / "base")["generation"] == 1


def test_it_is_given_back_when_nobody_refers_to_it(tmp_path: Path) -> None:
    ownership = LockedOwnership.of(tmp_path)
    ownership.check()
    del ownership
    with other_owner(tmp_path) as other:
        assert record(tmp_path)["pid"] == other.pid
        assert record(tmp_path)["generation"] == 2


FORK = """
import os, signal, sys
from pathlib import Path
from autodist_saved.errors import OwnershipLostError
from autodist_saved.publish.ownership import LockedOwnership
base = Path(sys.argv[1])
ownership = LockedOwnership.of(base)
if os.fork() == 0:
    refused = 0
    for attempt in (ownership.check, lambda: LockedOwnership.of(base)):
        try:
            attempt()
        except OwnershipLostError as error:
            refused += f"process {os.getppid()} on" in str(error)
    print(refused, flush=True)
    sys.stdin.read()
else:
    signal.pause()
"""


def test_a_forked_child_neither_has_it_nor_keeps_it(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", FORK, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "2\n"
        with pytest.raises(OwnershipLostError, match=f"process {parent.pid} on"):
            LockedOwnership.of(tmp_path)
        parent.kill()
        parent.wait()
        LockedOwnership.of(tmp_path).check()
    finally:
        parent.kill()
        parent.communicate()


def test_who_replaces_the_file_takes_the_ownership_away(tmp_path: Path) -> None:
    ownership = LockedOwnership.of(tmp_path)
    file_of(tmp_path).unlink()
    with other_owner(tmp_path) as other:
        for _ in range(2):
            with pytest.raises(OwnershipLostError, match=f"process {other.pid} on"):
                ownership.check()
    with pytest.raises(OwnershipLostError):
        ownership.check()


def test_a_target_that_has_lost_it_publishes_again_when_the_other_one_is_gone(tmp_path: Path) -> None:
    target = VersionedTarget(tmp_path)
    write_model(target.open().root)
    (tmp_path / ".autodist_saved-owner").unlink()
    with other_owner(tmp_path) as other:
        with pytest.raises(OwnershipLostError, match=f"process {other.pid} on"):
            target.commit()
        target.abandon()
    assert publish(target) == str(tmp_path / "1")


def test_an_owner_file_that_was_tidied_away_is_made_again(tmp_path: Path) -> None:
    ownership = LockedOwnership.of(tmp_path)
    file_of(tmp_path).unlink()
    ownership.check()
    assert record(tmp_path)["pid"] == os.getpid()
    with pytest.raises(AssertionError), other_owner(tmp_path):
        pass  # it ends with an error instead of saying that it holds it


NAME = b'{"generation": %s, "host": %s, "pid": %s, "task": "", "since": ""}'


@pytest.mark.parametrize(
    "contents",
    [
        *(b"", b"{", b"[]", b'{"generation": 7}', b"\xff\n"),
        *(NAME % fields for fields in ((b'"x"', b'"host"', b"1"), (b"null", b'"host"', b"1"), (b"1", b"[]", b"1"))),
        *(NAME % (b"1", b'"host"', pid) for pid in (b'"../.."', b"1.5", b"-1", b"9" * 30)),
    ],
)
def test_a_damaged_file_keeps_nobody_out(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / ".autodist_saved-owner").write_bytes(contents)
    LockedOwnership.of(tmp_path).check()
    assert record(tmp_path)["generation"] == 1


def test_what_a_crash_leaves_of_a_longer_record_is_passed_over(tmp_path: Path) -> None:
    first = LockedOwnership.of(tmp_path, "a task with a long name")
    del first
    file_of(tmp_path).write_bytes(file_of(tmp_path).read_bytes() + b'ong name", "since": ""}\n')
    ownership = LockedOwnership.of(tmp_path)
    assert record(tmp_path)["generation"] == 2
    ownership.check()


def test_without_locks_the_last_one_has_it_and_the_first_is_told(
    tmp_path: Path, no_locks: None, caplog: pytest.LogCaptureFixture
) -> None:
    ownership = LockedOwnership.of(tmp_path)
    ownership.check()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "is on a file system without locks" in caplog.text
    with other_owner(tmp_path) as other:
        assert record(tmp_path)["generation"] == 2
        with pytest.raises(OwnershipLostError, match=f"process {other.pid} on"):
            ownership.check()


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".autodist_saved-owner").symlink_to("victim")
    with pytest.raises(OSError, match="Too many levels"):
        LockedOwnership.of(tmp_path)
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_pipe_in_place_of_the_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".autodist_saved-owner")
    with pytest.raises(OSError, match="it is neither a file nor a directory"):
        LockedOwnership.of(tmp_path)
