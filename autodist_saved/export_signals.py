"""What a training process does on SIGUSR1 and SIGTERM, as long as it trains."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

EXIT_STATUS_TERMINATED = 128 + signal.SIGTERM

log = logging.getLogger(__name__)


class ExportSignals:
    """SIGUSR1 asks for an export, and SIGTERM for a last one before the process ends.

    Handlers belong to the main thread; where this is made in another one, none are installed.
    """

    def __init__(self, ask: Callable[[str], None], limit_secs: float, is_over: Callable[[], bool]) -> None:
        """Installs the handlers.

        Args:
            ask: called with the name of the signal that has come, by its handler.
            limit_secs: how long after SIGTERM the process goes on at the most.
            is_over: whether the training has ended in whatever way; signals then do what they did before.
        """
        self._ask = ask
        self._limit_secs = limit_secs
        self._is_over = is_over
        self._before: dict[int, Any] = {}
        self._timer: threading.Timer | None = None
        if threading.current_thread() is not threading.main_thread():
            log.warning("the session was made in a thread, where no signals can be handled: SIGTERM exports nothing")
            return
        found = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if isinstance(found, ExportSignals):
            found.restore()  # of a session that has failed, or is made anew
        for number in (signal.SIGUSR1, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)

    @property
    def is_stopping(self) -> bool:
        """Whether SIGTERM has come."""
        return self._timer is not None

    def restore(self) -> None:
        """Let signals do what they did before. Called in the main thread."""
        if self._timer is not None:
            self._timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def stop(self) -> None:
        """After the last export: end this process as SIGTERM would have. Called in the main thread.

        Raises:
            SystemExit: unless there was a handler for it, which is called instead.
        """
        before = self._before.get(signal.SIGTERM)
        self.restore()
        if callable(before):
            before(signal.SIGTERM, None)
        elif before != signal.SIG_IGN:
            raise SystemExit(EXIT_STATUS_TERMINATED)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._is_over() or self.is_stopping:  # the second SIGTERM is impatient
            before = self._before.get(number, signal.SIG_DFL)
            self.restore()
            signal.signal(number, before)
            os.kill(os.getpid(), number)
            return
        if number == signal.SIGTERM:
            # For the training that does not come to its next step.
            self._timer = threading.Timer(self._limit_secs, self._give_up)
            self._timer.daemon = True
            self._timer.start()
        self._ask(signal.Signals(number).name)

    def _give_up(self) -> None:
        log.error("the last export has not ended within %g s, or training has not come to a step", self._limit_secs)
        os.kill(os.getpid(), signal.SIGTERM)
