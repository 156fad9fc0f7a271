"""The demo as a whole, and what is left when one of its tasks is killed: no process, no model, no success."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo whose tasks have begun to train."""
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.flight_delays", "--output", str(tmp_path / "output")],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 90
        while "step/s" not in (tmp_path / "log").read_text():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)  # a log has no event to wait for
        yield process
    finally:
        for pid in [*tasks_of(tmp_path).values(), process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()
        log.close()


def tasks_of(output: Path) -> dict[str, int]:
    """Process ids by task name of every living task that works for this output directory."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text()
            environ = dict(
                line.split("=", 1) for line in (process / "environ").read_text().split("\0") if "=" in line
            )
        except (FileNotFoundError, ProcessLookupError, PermissionError, UnicodeDecodeError):
            continue
        if str(output) in command and "TF_CONFIG" in environ:
            task = json.loads(environ["TF_CONFIG"])["task"]
            found[f"{task['type']}:{task['index']}"] = int(process.name)
    return found


@pytest.mark.parametrize("victim", ["chief:0", "worker:1", "ps:0", "ctrl-c"])
def test_whoever_is_killed_takes_the_whole_demo_along(
    demo: subprocess.Popen[str], tmp_path: Path, victim: str
) -> None:
    assert sorted(tasks_of(tmp_path)) == ["chief:0", "ps:0", "ps:1", "worker:0", "worker:1"]
    if victim == "ctrl-c":
        os.kill(demo.pid, signal.SIGINT)
    else:
        os.kill(tasks_of(tmp_path)[victim], signal.SIGKILL)
    assert demo.wait(20) != 0
    assert tasks_of(tmp_path) == {}
    assert not (tmp_path / "output" / "model").exists()
    assert "SavedModel:" not in (tmp_path / "log").read_text()
