"""The contract of a cut."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Standstill:
    """What a cut has seen between :meth:`Cut.acquire` and :meth:`Cut.release`: parts of the export's witness.

    Attributes:
        training, epoch, steps, deaths: as in :class:`~autodist_saved.report.witness.Witness`.
    """

    training: tuple[str, ...] | None = ()
    epoch: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    deaths: int = 0


class Cut(ABC):
    """Stops the job's writers and lets them go. The chief alone calls it, once per export, in this order."""

    @abstractmethod
    def acquire(self) -> None:
        """1. Stop the writers between two training steps.

        Raises:
            CutTimeoutError: some did not stop in time. All have been let go again.
            UsageError: called within a training step.
        """

    def extend(self) -> None:  # noqa: B027 - most cuts last as long as they are wanted
        """2. From now on keep them stopped until :meth:`release`, however long that takes.

        Called where the variables are not copied but streamed from their own memory.

        Raises:
            CutTimeoutError: they were let go already.
        """

    @abstractmethod
    def release(self) -> Standstill:
        """3. Let the writers go on. Called also when anything has failed, :meth:`acquire` too, and perhaps twice.

        Raises:
            CutTimeoutError: staging took too long, and they were let go before.
            InconsistentError: some may have gone on by themselves.
        """


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
