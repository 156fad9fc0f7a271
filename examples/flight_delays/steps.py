"""The steps of the demo: one process after the other. A signal ends the running one, too."""

from __future__ import annotations

import signal
import subprocess
import sys
from types import FrameType


class Steps:
    """Runs one command after the other. A signal is passed on to the running one and ends the series."""

    def __init__(self) -> None:
        self._running: subprocess.Popen[bytes] | None = None
        self._signal = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._pass_on)

    def run(self, name: str, *command: str) -> None:
        """Run ``command`` to its end.

        Raises:
            SystemExit: the command failed or a signal arrived; says which step it was.
        """
        print(f"--- {name}", flush=True)
        # In a session of its own, it gets Ctrl-C once, from us, and not from the terminal as well.
        self._running = subprocess.Popen(command, start_new_session=True)
        if self._signal:  # it arrived when there was nothing yet to pass it on to
            self._running.send_signal(self._signal)
        status = self._running.wait()
        if self._signal:
            print(f"Stopped by {signal.Signals(self._signal).name} in this step: {name}", file=sys.stderr)
            sys.exit(128 + self._signal)
        if status:
            sys.exit(f"This step failed with status {status}: {name}. What it said is above.")

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._signal = number
        if self._running is not None:
            self._running.send_signal(number)
