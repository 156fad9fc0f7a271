"""A cut that notes what was asked of it."""

from __future__ import annotations

from autodist_saved.cut.cut import Cut, Standstill


class RecordingCut(Cut):
    """Stops nobody."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def acquire(self) -> None:
        self.calls.append("acquire")

    def extend(self) -> None:
        self.calls.append("extend")

    def release(self) -> Standstill:
        self.calls.append("release")
        return Standstill(epoch=3, steps={"worker:0": 8}, deaths=1)
