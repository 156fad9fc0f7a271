"""When the phases of an export began, and how long they took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Interval:
    """A time within an export.

    Attributes:
        phase: what it was spent on.
        begin: seconds since the export began.
        seconds: how long it took.
    """

    phase: str
    begin: float
    seconds: float

    @property
    def end(self) -> float:
        """Seconds from the beginning of the export to the end of this."""
        return self.begin + self.seconds


class Stopwatch:
    """Takes the times of one export, from now on. One thread at a time uses it.

    Attributes:
        started: when that was, in UTC.
    """

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self._began = time.perf_counter()
        self._intervals: list[Interval] = []

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """All that are over, in the order in which they began."""
        return tuple(sorted(self._intervals, key=lambda interval: interval.begin))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A time for the block, unless it raises. A phase may come again, and lie within another one."""
        begin = time.perf_counter()
        yield
        self._intervals.append(Interval(name, begin - self._began, time.perf_counter() - begin))
