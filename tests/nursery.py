"""Real processes that need not load TensorFlow first: forked off one that has, and has done nothing with it.

They end as any other process does, with what ``atexit`` has to do.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autodist_saved.cluster import Cluster, Task
from tests.job import ROOT, Job, leave


class Nursery:
    """The process that forks, until :meth:`end`. Its children run ``main(results)`` of a module of ``tests.jobs``."""

    def __init__(self, module: str) -> None:
        environ = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery", module],
            env={**os.environ, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def bear(self, results: Path, log: Path, environ: Mapping[str, str]) -> Child:
        """A child with its output in ``log``."""
        return Child(self, self.ask(results=str(results), log=str(log), environ=dict(environ)))

    def ask(self, **request: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


class Child:
    """A process with those methods of ``subprocess.Popen`` that jobs need."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.ask(wait=self.pid)
        return self.returncode

    def wait(self, timeout: float = 120) -> int:
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"child {self.pid}", timeout)
            time.sleep(0.02)  # it is the child of another process
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkedJob(Job):
    """A job whose tasks are forked off a nursery."""

    def begin(self, nursery: Nursery, task: str, environ: Mapping[str, str] | None = None) -> None:
        tf_config = self.cluster.tf_config(Task.parse(task))
        log = self.results / f"{task}.log"
        self.processes[task] = nursery.bear(self.results, log, {"TF_CONFIG": tf_config, **(environ or {})})  # type: ignore[assignment]

    def pause_at(self, moment: str) -> None:
        """Until the next export has come there. See ``tests/jobs/paused.py``."""
        self.pause_when_at(moment)
        self.wait_for("paused")

    def pause_when_at(self, moment: str) -> None:
        """As :meth:`pause_at`, but does not wait for that."""
        leave(self.results, "pause", moment)

    def go_on(self) -> None:
        for name in ("paused", "pause"):
            (self.results / f"{name}.json").unlink(missing_ok=True)

    def steps(self, task: str) -> int:
        """How many steps a task has done."""
        return (self.results / f"steps-{task}").read_text().count("\n")

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        self._wait_until(holds, what, 60)

    def lose(self, task: str) -> None:
        """Kill a task with SIGKILL."""
        process = self.processes.pop(task)
        process.kill()
        process.wait()


class LoneJob(ForkedJob):
    """A running job of one process, which publishes in a directory."""

    def __init__(
        self, nursery: Nursery, results: Path, base: Path, *, become: int | None = None, **schedule: Any
    ) -> None:
        results.mkdir(exist_ok=True)
        super().__init__(Cluster.single().with_free_ports(), results)
        self.base = base
        environ = {"SCHEDULE": json.dumps(schedule), "BASE": str(base)}
        self.begin(nursery, "worker:0", environ if become is None else {**environ, "BECOME": str(become)})

    @property
    def pid(self) -> int:
        return self.processes["worker:0"].pid

    @property
    def said(self) -> str:
        return self.log("worker:0")

    def wait_until_training(self) -> None:
        self.wait_for("began-worker:0")
        self.train_on()

    def train_on(self) -> None:
        """Wait until it has trained for some steps."""
        steps = self.steps("worker:0")
        self.wait_until(lambda: self.steps("worker:0") > steps + 5, "step")

    def newest(self) -> int:
        return max(map(int, self._names()), default=0)

    def publish_on(self) -> None:
        """Wait for two newer versions, the first of which may have been under way."""
        before = self.newest()
        self.wait_until(lambda: self.newest() >= before + 2, "version")

    def fail_with(self, words: str, since: str) -> None:
        """Wait for the first failed export that is not in what it had said. It says so, and training goes on.

        ``words`` are a regular expression.
        """
        told = "has failed, and training goes on"
        self.wait_until(lambda: told in self.said[len(since) :], told)
        line = next(line for line in self.said[len(since) :].splitlines() if told in line)
        assert re.search(words, line), line
        self.train_on()

    def stop(self) -> None:
        """End it well."""
        leave(self.results, "stop-worker:0", True)
        self.succeed()

    def versions(self) -> list[int]:
        """Those that loaders take for models."""
        return sorted(int(name) for name in self._names() if (self.base / name / "saved_model.pb").exists())

    def _names(self) -> list[str]:
        return [path.name for path in self.base.glob("*") if path.name.isdigit()]


def _run_child(module: Any, request: Mapping[str, Any]) -> None:
    os.setsid()
    with Path(os.devnull).open() as nothing, Path(request["log"]).open("a") as log:
        for file, descriptor in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(file.fileno(), descriptor)
    os.environ.update(request["environ"])
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    module.main(Path(request["results"]))
    sys.exit()


def _status(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def main() -> None:
    module = importlib.import_module(f"tests.jobs.{sys.argv[1]}")
    for line in sys.stdin:
        request = json.loads(line)
        answer = _status(request["wait"]) if "wait" in request else os.fork()
        if answer == 0 and "wait" not in request:
            _run_child(module, request)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
