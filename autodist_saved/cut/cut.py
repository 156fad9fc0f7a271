"""The contract of a cut, and the witness it leaves in every export."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True)
class Witness:
    """What was seen of the job's progress around one export.

    Attributes:
        training: the tasks that went on training while the variables were staged; None where nobody can know.
        global_step_before: the job's global step before staging; None where the graph has none.
        global_step_after: the same after staging.
    """

    training: tuple[str, ...] | None = ()
    global_step_before: int | None = None
    global_step_after: int | None = None

    @property
    def consistent(self) -> bool:
        """Whether it is known that nobody trained on, and the global step stood still."""
        return self.training == () and self.global_step_before == self.global_step_after


class Cut(ABC):
    """Stops the job's writers and lets them go. The chief alone calls it, once per export, in this order."""

    @abstractmethod
    def acquire(self) -> tuple[str, ...] | None:
        """1. Stop the writers. Returns the tasks that go on training all the same; None where nobody can know."""

    @abstractmethod
    def release(self) -> None:
        """2. Let the writers go on. Called also when the export has failed after :meth:`acquire`."""
