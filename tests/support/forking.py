"""The program of a fork server: for each line of JSON it forks a process, or says how one has ended."""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def _fork(request: Mapping[str, Any]) -> int:
    """Returns in the process that forks alone."""
    importlib.import_module(request["module"])  # with all that it imports
    _refuse_threads()
    pid = os.fork()
    if pid == 0:
        _run(request)
    return pid


def _refuse_threads() -> None:
    """What another thread is in the middle of stays half done in a forked process for ever.

    The thread of TensorFlow's memory allocator is started anew by its own handlers for forks.
    """
    tasks = Path("/proc/self/task")
    others = {(task / "comm").read_text().strip() for task in tasks.iterdir() if task.name != str(os.getpid())}
    if unexpected := others - {"jemalloc_bg_thd"}:
        raise RuntimeError(f"there are threads before the fork: {unexpected}")


def _run(request: Mapping[str, Any]) -> None:
    os.setsid()
    os.chdir(request["place"])
    with Path(os.devnull).open() as nothing, Path(request["log"]).open("a") as log:
        for file, descriptor in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(request["environ"])
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.argv[1:] = request["arguments"]
    del sys.modules[request["module"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    sys.exit()


def _status_of(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def main() -> None:
    import tensorflow  # noqa: F401 - whatever module is asked for first

    for line in sys.stdin:
        request = json.loads(line)
        answer = _status_of(request["status_of"]) if "status_of" in request else _fork(request)
        print(json.dumps(answer), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
