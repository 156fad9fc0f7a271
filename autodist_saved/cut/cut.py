"""The contract of a cut, and the witness it leaves in every export."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True)
class Witness:
    """What was seen of the job's progress around one export.

    Attributes:
        training: the tasks that went on training while the variables were staged.
        global_step_before: the job's global step before staging; None where the graph has none.
        global_step_after: the same after staging.
    """

    training: tuple[str, ...] = ()
    global_step_before: int | None = None
    global_step_after: int | None = None

    @property
    def consistent(self) -> bool:
        """Whether nothing speaks against the export being one moment in time."""
        return not self.training and self.global_step_before == self.global_step_after


class Cut(ABC):
    """Stops the job's writers and lets them go. The chief alone calls it, once per export, in this order."""

    @abstractmethod
    def acquire(self) -> tuple[str, ...]:
        """1. Stop the writers. Returns the tasks that could not be stopped and go on training."""

    @abstractmethod
    def release(self) -> None:
        """2. Let the writers go on. Called also when the export has failed after :meth:`acquire`."""
