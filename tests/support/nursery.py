"""Real processes that need not load TensorFlow first: forked off one that has, and has done nothing with it.

They end as any other process does, with what ``atexit`` has to do.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.job import ROOT


class Nursery:
    """The process that forks, until :meth:`end`. Its children run ``main(results)`` of a module of ``jobs``."""

    def __init__(self, module: str) -> None:
        environ = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.nursery", module],
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
    module = importlib.import_module(f"tests.support.jobs.{sys.argv[1]}")
    for line in sys.stdin:
        request = json.loads(line)
        answer = _status(request["wait"]) if "wait" in request else os.fork()
        if answer == 0 and "wait" not in request:
            _run_child(module, request)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
