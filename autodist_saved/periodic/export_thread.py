"""Exports in the background of a training job: in a thread of their own, one after the other."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from autodist_saved.errors import ExportError

Item = TypeVar("Item")
THE_TIME = "the time"
"""The reason of an export that nobody asked for: ``every_secs`` have passed."""

log = logging.getLogger(__name__)


class ExportThread:
    """Exports when asked, or after some seconds. All that becomes due while it exports is one export afterwards."""

    def __init__(self, export: Callable[[Sequence[str]], None], every_secs: float | None = None) -> None:
        """Starts the thread, which ends after :meth:`end` or with the process.

        Args:
            export: called in the thread with the reasons, for the log. :meth:`failures` returns what it raises.
            every_secs: seconds from the beginning of any export to that of the next one that nobody asked for; None
                for no such exports.
        """
        self._export = export
        self._every_secs = every_secs
        # A signal handler may use it, whatever the interrupted thread is doing. With a lock it could deadlock.
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._failures: queue.SimpleQueue[Exception] = queue.SimpleQueue()
        self.last_failure: Exception | None = None
        """What the last export raised; None where it succeeded, or there was none."""
        self._thread = threading.Thread(target=self._run, name="exports", daemon=True)
        self._thread.start()

    def ask(self, reason: str) -> None:
        """Export as soon as possible. Returns at once; any thread and any signal handler may call it."""
        self._asked.put(reason)

    def failures(self) -> list[Exception]:
        """What exports have raised since the last call."""
        return _all_of(self._failures)

    def end(self) -> None:
        """End the thread after all that was asked for. Returns at once; may be called again, as :meth:`ask`."""
        self._asked.put(None)

    def wait(self, timeout_secs: float = 0.0) -> bool:
        """Wait until the thread has ended. Returns whether it ended within the time."""
        self._thread.join(timeout_secs)
        return not self._thread.is_alive()

    def give_up(self, failure: Exception) -> Exception:
        """Stop waiting for the running export, and count it as failed. Returns the failure."""
        self._failures.put(failure)
        return failure

    def restarted_if_ended(self) -> ExportThread:
        """Itself; or, if its thread has ended, a new one that also returns the failures of this one."""
        if not self.wait():
            return self
        again = ExportThread(self._export, self._every_secs)
        again._failures = self._failures
        return again

    def _run(self) -> None:
        is_last, began = False, time.monotonic()
        while not is_last:
            asked = self._next(began)
            is_last, began = None in asked, time.monotonic()
            self._export_for([reason for reason in asked if reason is not None])

    def _next(self, began: float) -> list[str | None]:
        """Wait until something is asked for or due, and return it. The last export began at ``began``."""
        try:
            return [self._asked.get(timeout=self._wait_secs(began)), *_all_of(self._asked)]
        except queue.Empty:
            return [THE_TIME]

    def _wait_secs(self, began: float) -> float | None:
        if self._every_secs is None:
            return None
        return min(max(0.0, began + self._every_secs - time.monotonic()), threading.TIMEOUT_MAX)

    def _export_for(self, reasons: Sequence[str]) -> None:
        if not reasons:
            return
        try:
            self._export(list(dict.fromkeys(reasons)))
            self.last_failure = None
        except BaseException as error:  # noqa: BLE001 - the thread that trains gets it from failures() and decides
            failure = error if isinstance(error, Exception) else _ended_by(error)
            self.last_failure = failure
            self._failures.put(failure)


def _ended_by(error: BaseException) -> ExportError:
    failure = ExportError(f"the export raised {error!r}, which ends no process here; raise an Exception to fail")
    failure.__cause__ = error
    return failure


def _all_of(waiting: queue.SimpleQueue[Item]) -> list[Item]:
    found = []
    try:
        while True:
            found.append(waiting.get_nowait())
    except queue.Empty:
        return found
