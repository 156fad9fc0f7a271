"""The cut of a job that is not stopped: it only knows who goes on training."""

from __future__ import annotations

from collections.abc import Callable

from autodist_saved.cut.cut import Cut, Standstill


class NoCut(Cut):
    """Stops nobody. Right where nobody else trains; otherwise the witness names those who did."""

    def __init__(self, training: Callable[[], tuple[str, ...] | None] = tuple) -> None:
        """``training`` tells which other tasks are training at the moment it is called; None if it cannot know."""
        self._training = training
        self._trained: tuple[str, ...] | None = ()

    def acquire(self) -> None:
        self._trained = self._training()

    def release(self) -> Standstill:
        return Standstill(self._trained)
