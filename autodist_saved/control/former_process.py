"""A process that may still train, though the job has no word of it: lost, or another one has taken its place."""

from __future__ import annotations

from dataclasses import dataclass

from autodist_saved.cluster import Task
from autodist_saved.control import control_pb2
from autodist_saved.control.fence_round import Life


@dataclass(frozen=True)
class FormerProcess:
    """It has neither said goodbye nor has a kernel told that it has ended.

    Attributes:
        task: that it is, or was, a process of.
        process: as it has said itself.
        lease_ends: from this moment on it begins no step, unless a chief hears of it again.
    """

    task: Task
    process: control_pb2.Process
    lease_ends: float

    @property
    def life(self) -> Life:
        """What tells it from others."""
        return self.task, self.process.life
