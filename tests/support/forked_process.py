"""A process that a fork server has forked."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable


class ForkedProcess:
    """A process with those methods of ``subprocess.Popen`` that jobs need. It is the child of another process."""

    def __init__(self, pid: int, status: Callable[[], int | None]) -> None:
        """``status`` returns its exit status; None as long as it runs."""
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._status()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.poll() is None:
            self._wait_for_end(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:  # until it is asked for its status nobody else gets its number
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _wait_for_end(self, timeout_secs: float | None) -> None:
        handle = os.pidfd_open(self.pid)
        try:
            select.select([handle], [], [], timeout_secs)
        finally:
            os.close(handle)
