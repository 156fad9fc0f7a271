"""A job that a page starts, in a folder with the files of the page."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tests.documentation.page import environment

PATIENCE_SECS = 120.0


class Launched:
    """The shell that runs a page's commands; what they print is in ``output.log``."""

    def __init__(self, folder: Path, log: IO[str]) -> None:
        self._folder = folder
        self.shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def type(self, line: str) -> None:
        """Give the shell a line."""
        assert self.shell.stdin
        self.shell.stdin.write(line + "\n")
        self.shell.stdin.flush()

    def said(self) -> str:
        return (self._folder / "output.log").read_text()

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECS
        while not holds():
            assert self.shell.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)  # neither files nor commands have an event to wait for that works everywhere

    def address(self) -> str:
        """Of the job's control service, as ``launch`` has printed it."""
        self.wait_until(lambda: re.search(r"autodist-saved status \S+\n", self.said()) is not None)
        found = re.search(r"autodist-saved status (\S+)\n", self.said())
        assert found
        return found[1]

    def wait_until_training(self, *options: str) -> None:
        """Until the chief has made a step. ``options``: of ``autodist-saved status``, first the job."""

        def trains() -> bool:
            status = self.run("autodist-saved", "status", "--json", *options)
            return status.returncode == 0 and bool(json.loads(status.stdout)["tasks"][0]["steps"])

        self.wait_until(trains)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command in another terminal."""
        return subprocess.run(
            words,
            cwd=self._folder,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECS,
        )

    def end(self) -> int:
        """Wait until all that was typed is done. Returns the shell's status, which is that of the last command."""
        self.shell.communicate(timeout=PATIENCE_SECS)
        return self.shell.returncode


@contextmanager
def launched(folder: Path) -> Iterator[Launched]:
    """A shell in this folder, of which nothing is left at the end."""
    with (folder / "output.log").open("w") as log:
        job = Launched(folder, log)
        try:
            yield job
        finally:
            with suppress(ProcessLookupError):
                os.killpg(job.shell.pid, signal.SIGKILL)  # the kernel ends what `launch` has started with it
            job.shell.communicate()
