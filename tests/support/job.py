"""Real jobs for tests: one process per task, real gRPC between them, results in files, nobody left behind.

A module of ``tests/support/jobs/`` is run by every task with its ``TF_CONFIG`` and the results directory as its only
argument. It leaves what it has seen as JSON (:func:`leave`), for the test to read.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autodist_saved.cluster import Cluster, Task
from tests.support.fork_server import ForkServer
from tests.support.forked_process import ForkedProcess
from tests.support.patience import PATIENCE_SECS
from tests.support.places import JOBS, ROOT

LOOK_SECS = 0.02


@dataclass
class Job:
    """A running job: its processes by task name."""

    cluster: Cluster
    results: Path
    processes: dict[str, subprocess.Popen[str] | ForkedProcess] = field(default_factory=dict)

    def start(self, script: str, environ: Mapping[str, str] | None = None, *, without: tuple[str, ...] = ()) -> None:
        """Start every task but those in ``without``."""
        for task in self.cluster.tasks:
            if str(task) not in without:
                self.start_task(str(task), script, environ)

    def start_task(
        self, task: str, script: str, environ: Mapping[str, str] | None = None, *, behind: Sequence[str] = ()
    ) -> None:
        """Start one task: forked, or, in an interpreter of its own, behind another command that runs it."""
        environment = {
            **os.environ,
            "TF_CONFIG": self.cluster.tf_config(Task.parse(task)),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "-1",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **(environ or {}),
        }
        log = self.results / f"{task}.log"
        if behind:
            command = [*behind, sys.executable, str(JOBS / script), str(self.results)]
            self.processes[task] = _start(command, log, environment)
        else:
            module = f"tests.support.jobs.{Path(script).stem}"
            server = ForkServer.of_this_process()
            self.processes[task] = server.fork(module, [self.results], log, environment)

    def wait(self, timeout_secs: float = PATIENCE_SECS) -> dict[str, int]:
        """Exit status of every task, once all have ended. Shows their output when they do not."""
        try:
            return {task: process.wait(timeout_secs) for task, process in self.processes.items()}
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"still running after {timeout_secs} s\n{self.logs()}") from error

    def succeed(self, timeout_secs: float = PATIENCE_SECS) -> None:
        """Wait until every task has ended with 0."""
        statuses = self.wait(timeout_secs)
        assert not any(statuses.values()), f"{statuses}\n{self.logs()}"

    def log(self, task: str) -> str:
        return (self.results / f"{task}.log").read_text(errors="replace")

    def logs(self) -> str:
        return "\n".join(f"--- {task}\n{self.log(task)[-4000:]}" for task in self.processes)

    def found(self, name: str) -> Any:
        """What a task has left under ``name``."""
        path = self.results / f"{name}.json"
        assert path.exists(), f"no task has left {name!r}\n{self.logs()}"
        return json.loads(path.read_text())

    def wait_for(self, name: str, timeout_secs: float = PATIENCE_SECS) -> Any:
        """Wait until a task has left ``name``, or any task has ended with an error."""
        self.wait_until((self.results / f"{name}.json").exists, name, timeout_secs)
        return self.found(name)

    def wait_for_checkpoint(self, of_step: int) -> None:
        """Wait until a checkpoint of this step or a later one is complete."""

        def is_there() -> bool:
            found = self.results.glob("checkpoints/*.meta")
            return any(int(path.stem.rpartition("-")[2]) >= of_step for path in found)

        self.wait_until(is_there, f"checkpoint of step {of_step}")

    def wait_for_version(self, above: int) -> int:
        """Wait until a greater version is published in ``base``; its number."""
        latest = self.results / "base" / "latest"
        self.wait_until(lambda: latest.is_symlink() and int(str(latest.readlink())) > above, "version")
        return int(str(latest.readlink()))

    def wait_for_log(self, task: str, text: str) -> str:
        """Wait until a task has said ``text``; the line with it."""
        self.wait_until(lambda: text in self.log(task), text)
        return next(line for line in self.log(task).splitlines() if text in line)

    def wait_until(self, holds: Callable[[], bool], what: str, timeout_secs: float = PATIENCE_SECS) -> None:
        """Wait until something holds, or any task has ended with an error."""
        deadline = time.monotonic() + timeout_secs
        while not holds():
            failed = {task: p.returncode for task, p in self.processes.items() if p.poll()}
            assert not failed, f"{failed} while waiting for {what!r}\n{self.logs()}"
            assert time.monotonic() < deadline, f"no {what!r} after {timeout_secs} s\n{self.logs()}"
            time.sleep(LOOK_SECS)  # files have no event to wait for that works everywhere

    def kill(self, task: str, number: int = signal.SIGKILL) -> None:
        self.processes[task].send_signal(number)

    def lose(self, task: str) -> None:
        """Kill a task with SIGKILL, and forget it: it may be started again."""
        process = self.processes.pop(task)
        process.kill()
        process.wait()

    def end(self) -> None:
        """Leave nothing behind."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()


def leave(results: str | Path, name: str, value: Any) -> None:
    """Leave a result for the test, whole or not at all."""
    path = Path(results) / f"{name}.json"
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(value))
    temporary.rename(path)


def _start(command: Sequence[str], log: Path, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    with log.open("a") as output:
        return subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
