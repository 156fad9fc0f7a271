"""The timeline of an export: when its phases began, and how long they took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Interval:
    """One interval in the timeline of an export.

    Attributes:
        phase: name of the phase.
        begin: when it began, in seconds since the export began.
        seconds: how long it took.
    """

    phase: str
    begin: float
    seconds: float

    @property
    def end(self) -> float:
        """When it ended, in seconds since the export began."""
        return self.begin + self.seconds


class Stopwatch:
    """Measures the phases of one export, which begins now. Only one thread at a time may use it.

    Attributes:
        started: when the export began, in UTC.
    """

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self._began = time.perf_counter()
        self._intervals: list[Interval] = []

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """All phases that have ended, in the order in which they began."""
        return tuple(sorted(self._intervals, key=lambda interval: interval.begin))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block as a phase, unless the block raises. A phase may occur again, and within another one."""
        begin = time.perf_counter()
        yield
        self._intervals.append(Interval(name, begin - self._began, time.perf_counter() - begin))
