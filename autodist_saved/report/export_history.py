"""The exports of a job: those under way and the last ones, for the console."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace

KEPT = 10  # a long training makes thousands


@dataclass(frozen=True)
class Entry:
    """One export, at one moment.

    Attributes:
        number: 1 for the first of the job.
        target: where the model is to be.
        phase: under way, or the last one.
        seconds: since it began, or that it has taken.
        path: where the model is; empty as long as it is not visible.
        error: why there is none; empty as long as all goes well.
        thread: identity of the thread that exports.
        began: when, on the monotonic clock.
    """

    number: int
    target: str
    phase: str = ""
    seconds: float = 0.0
    path: str = ""
    error: str = ""
    thread: int = field(default_factory=threading.get_ident)
    began: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, for good or ill."""
        return bool(self.path or self.error)

    def now(self) -> Entry:
        """The same with the seconds of this moment."""
        return self if self.is_over else replace(self, seconds=time.monotonic() - self.began)


class ExportHistory:
    """Keeps the last exports. Any thread may call any method."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._changes = 0
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._numbers = 0

    def entries(self) -> tuple[Entry, ...]:
        """The last exports, oldest first."""
        with self._changed:
            return tuple(entry.now() for entry in self._entries)

    def begin(self, target: str) -> int:
        """Note that an export begins in this thread. Returns its number."""
        with self._changed:
            self._numbers += 1
            self._entries.append(Entry(self._numbers, target))
            self.touch()
            return self._numbers

    def note(self, number: int, *, phase: str = "", path: str = "", error: str = "") -> None:
        """Note that an export has come to a phase, or to its end. After its end nothing changes any more."""
        with self._changed:
            for place, entry in enumerate(self._entries):
                # The first end counts: what fails after a commit does not make the model invisible.
                if entry.number == number and not entry.is_over:
                    self._entries[place] = replace(entry.now(), phase=phase or entry.phase, path=path, error=error)
            self.touch()

    def touch(self) -> None:
        """Wake those who wait for a change."""
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    @property
    def changes(self) -> int:
        """How many changes there have been."""
        return self._changes

    def wait_for_change(self, seen: int, timeout_secs: float) -> None:
        """Wait until there have been more changes than ``seen``, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._changes > seen, timeout_secs)
