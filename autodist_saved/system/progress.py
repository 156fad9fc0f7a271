"""How far something has come that moves bytes: a bar on a terminal, lines in the log elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as RichProgress

# What is over sooner tells nothing, and a log is told no oftener.
EVERY_SECS = 2.0

log = logging.getLogger(__name__)


class Progress:
    """Bytes moved and to go. Use it as a context manager; :meth:`advance` may be called from any thread."""

    def __init__(self, what: str, nbytes: int) -> None:
        """Tells nothing yet.

        Args:
            what: in a word or two, such as ``streaming``.
            nbytes: all of it.
        """
        self._what = what
        self._nbytes = nbytes
        self._moved = 0
        self._lock = threading.Lock()
        self._bar: RichProgress | None = None
        self._told = 0.0

    def __enter__(self) -> Self:
        """Begin to count the time."""
        self._told = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, nbytes: int) -> None:
        """So many bytes more have been moved."""
        with self._lock:
            self._moved += nbytes
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=self._moved)
            elif time.monotonic() - self._told >= EVERY_SECS:
                self._told = time.monotonic()
                if sys.stderr is not None and sys.stderr.isatty():
                    self._show_bar()
                else:
                    done, total = decimal(self._moved), decimal(self._nbytes)
                    log.info("%s: %s of %s, %d %%", self._what, done, total, self._percent())

    def _percent(self) -> int:
        return 100 * self._moved // max(1, self._nbytes)

    def _show_bar(self) -> None:
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.add_task(self._what, total=self._nbytes, completed=self._moved)
        self._bar.start()
