"""Progress of work that moves bytes: a bar on a terminal, messages in the log elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
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

# Work that ends sooner shows no progress, and the log gets messages no more often than this.
EVERY_SECS = 2.0

log = logging.getLogger(__name__)


class Progress:
    """Shows how many bytes of how many have been moved.

    Use it as a context manager. Any thread may call :meth:`advance`.
    """

    def __init__(self, what: str, nbytes: int, on_advance: Callable[[], None] = lambda: None) -> None:
        """Shows nothing yet.

        Args:
            what: short name of the work, such as ``streaming``.
            nbytes: bytes of the whole work.
            on_advance: called with each advance, in its thread.
        """
        self._on_advance = on_advance
        self._what = what
        self._nbytes = nbytes
        self._moved = 0
        self._lock = threading.Lock()
        self._bar: RichProgress | None = None
        self._last_shown = 0.0

    def __enter__(self) -> Self:
        """The work begins; the first progress is shown ``EVERY_SECS`` later."""
        self._last_shown = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The work has ended, or has failed: remove the bar."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, nbytes: int) -> None:
        """Count ``nbytes`` more bytes as moved, and show the progress if it is due."""
        self._on_advance()
        with self._lock:
            self._moved += nbytes
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=self._moved)
            elif time.monotonic() - self._last_shown >= EVERY_SECS:
                self._last_shown = time.monotonic()
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
