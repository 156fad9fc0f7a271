"""How many steps a task makes per second."""

from __future__ import annotations

import time
from collections.abc import Callable

# Messages may come right after each other, and a step between two of them would be hundreds per second.
_APART_SECS = 2.0


class Rate:
    """Of one count, between two looks that are some time apart."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """No look yet. ``clock`` tells the moment, in seconds."""
        self._clock = clock
        self._looks: list[tuple[float, int]] = []

    def of(self, steps: int) -> float | None:
        """Steps per second at this look; None as long as nobody knows, or when another process counts."""
        now = self._clock()
        if self._looks and steps < self._looks[-1][1]:
            self._looks = []  # a count never falls: this is a process that was started since
        if not self._looks or now - self._looks[-1][0] >= _APART_SECS:
            self._looks = [*self._looks[-1:], (now, steps)]
        since, before = self._looks[0]
        return (steps - before) / (now - since) if now - since >= _APART_SECS else None
