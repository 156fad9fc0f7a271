"""Exports in the background of a training job: in a thread of their own, one after the other."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from autodist_saved.errors import ExportError

Item = TypeVar("Item")

log = logging.getLogger(__name__)


class BackgroundExports:
    """Exports whenever it is asked to. What is asked for while an export runs is one export afterwards."""

    def __init__(self, export: Callable[[str], None]) -> None:
        """Starts the thread, which ends after :meth:`end` or with the process.

        Args:
            export: called in the thread with the reasons in words. What it raises is kept for :meth:`failures`.
        """
        self._export = export
        # Unlike locks it may be used by a signal handler, whatever the interrupted thread is doing.
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._failures: queue.SimpleQueue[Exception] = queue.SimpleQueue()
        self.last_failure: Exception | None = None
        """What the last export has raised; None where it went well, or there was none."""
        self._thread = threading.Thread(target=self._run, name="exports", daemon=True)
        self._thread.start()

    def ask(self, reason: str) -> None:
        """Export as soon as possible. May be called anywhere, and returns at once."""
        self._asked.put(reason)

    def failures(self) -> list[Exception]:
        """What has gone wrong since this was called last."""
        return _all_of(self._failures)

    def end(self) -> None:
        """End the thread after all that was asked for. May be called anywhere and again, and returns at once."""
        self._asked.put(None)

    def wait(self, timeout_secs: float = 0.0) -> bool:
        """Wait until the thread has ended. Returns whether it has, within the time."""
        self._thread.join(timeout_secs)
        return not self._thread.is_alive()

    def living(self) -> BackgroundExports:
        """Itself; or another one with its failures, where the thread has ended."""
        if not self.wait():
            return self
        again = BackgroundExports(self._export)
        again._failures = self._failures
        return again

    def _run(self) -> None:
        is_last = False
        while not is_last:
            asked = [self._asked.get(), *_all_of(self._asked)]
            is_last = None in asked
            self._export_for([reason for reason in asked if reason is not None])

    def _export_for(self, reasons: Sequence[str]) -> None:
        if not reasons:
            return
        try:
            self._export(", ".join(dict.fromkeys(reasons)))
            self.last_failure = None
        except BaseException as error:  # noqa: BLE001 - whatever it is, training hears of it and decides
            failure = error if isinstance(error, Exception) else _ended_by(error)
            self.last_failure = failure
            self._failures.put(failure)


def _ended_by(error: BaseException) -> ExportError:
    failure = ExportError(
        f"the export was ended by {error!r}, which ends no process here; raise an Exception to fail"
    )
    failure.__cause__ = error
    return failure


def _all_of(waiting: queue.SimpleQueue[Item]) -> list[Item]:
    found = []
    try:
        while True:
            found.append(waiting.get_nowait())
    except queue.Empty:
        return found
