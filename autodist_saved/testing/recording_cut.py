"""The double of a cut: it stops nobody, and notes what was asked of it."""

from __future__ import annotations

from collections.abc import Callable

from autodist_saved.cut.cut import Cut, Standstill


class RecordingCut(Cut):
    """A cut for tests of what is around one. It may be used for several exports after each other.

    Attributes:
        calls: the names of the methods that were called, in this order. A test may add entries of its own.
    """

    def __init__(self, seen: Standstill | None = None) -> None:
        """``seen``: what each release returns; by default what no other part of a pipeline would make up."""
        self.calls: list[str] = []
        self._seen = seen or Standstill(epoch=3, steps={"worker:0": 8}, deaths=1)

    def acquire(self) -> None:
        self.calls.append("acquire")

    def extend(self, is_stalled: Callable[[], bool] = lambda: False) -> None:  # noqa: ARG002 - nothing stalls
        self.calls.append("extend")

    def release(self) -> Standstill:
        self.calls.append("release")
        return self._seen
