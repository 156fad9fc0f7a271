"""A process that has loaded TensorFlow and forks programs, each of which would take seconds to load it."""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.forked_process import ForkedProcess
from tests.support.places import ROOT

ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "-1",
    "PYTHONPATH": str(ROOT),
    "OPENBLAS_NUM_THREADS": "1",  # a process that forks has no threads
}


class ForkServer:
    """The process that forks, which is started with this object.

    Python's own fork server calls functions, and ends without what ``atexit`` has to do. What is forked here runs and
    ends as any other program.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forking"],
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests, which end their jobs
        )

    @classmethod
    @functools.cache
    def of_this_process(cls) -> ForkServer:
        """The one that all tests of this process share. It ends with the process."""
        server = cls()
        atexit.register(server.end)
        return server

    def fork(
        self, module: str, arguments: Sequence[str | Path], log: Path, environ: Mapping[str, str]
    ) -> ForkedProcess:
        """A process in a session of its own that does what ``python -m MODULE ARGUMENTS...`` does.

        Args:
            module: has to start nothing when it is imported.
            arguments: of the program.
            log: what it writes is appended there.
            environ: its whole environment. It is too late for what is read when TensorFlow is loaded.
        """
        words = [str(word) for word in arguments]
        pid = self._ask(module=module, arguments=words, log=str(log), environ=dict(environ), place=str(Path.cwd()))
        return ForkedProcess(pid, lambda: self._ask(status_of=pid))

    def end(self) -> None:
        """End the process that forks; those that it has forked go on."""
        self._process.communicate()

    def _ask(self, **request: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        with self._turn:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        assert answer, f"the fork server has ended with {self._process.wait()}"
        return json.loads(answer)
