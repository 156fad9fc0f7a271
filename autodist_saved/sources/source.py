"""The contract of a source of variables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autodist_saved.errors import ExportError
from autodist_saved.options import ExportOptions
from autodist_saved.plan import ExportPlan, Piece
from autodist_saved.sources.transfer import Transfer
from autodist_saved.system.memory import TaskMemory

Array = npt.NDArray[np.generic]


def misplanned(variable: str, piece: Piece, found: str, planned: str) -> ExportError:
    """The error for a piece that is not as the plan says. ``found`` and ``planned`` are for its message."""
    return ExportError(
        f"{piece.task} holds {found} where {planned} was planned; check the slice info of the variable",
        variable=variable,
        task=piece.task,
    )


@dataclass(frozen=True)
class Staged:
    """A plan that is staged.

    Attributes:
        plan: the same plan, with every shape known.
        ways: for each task that holds pieces: ``memory``, it has copied them; or ``parked``, it has not, and the
            writers have to stay stopped until everything is read.
        memory: of those tasks that report it.
    """

    plan: ExportPlan
    ways: Mapping[str, str]
    memory: Mapping[str, TaskMemory] = field(default_factory=dict)

    @property
    def parked(self) -> bool:
        """Whether the writers have to stay stopped."""
        return "parked" in self.ways.values()


class Source(ABC):
    """The variables of one job, as an export sees them.

    Only the chief calls it, in the order of the numbers below. One source serves one export at a time. Where the
    other tasks take part (parameter servers that connect to it, ranks of a collective), the source talks to them by
    itself: no method here is called on them.
    """

    @abstractmethod
    def plan(self) -> ExportPlan:
        """1. The variables and their pieces. Pure: touches neither session nor network. Any thread.

        Raises:
            PlanError: the pieces of a variable contradict each other; all problems at once.
        """

    def connect(self, plan: ExportPlan, directory: Path | None, options: ExportOptions) -> None:
        """2. Get ready to stage a plan. The job trains meanwhile, so everything that takes time belongs here.

        Args:
            plan: what :meth:`plan` gave, or some variables of it.
            directory: where the files will be written. It is there, if the plan has variables. None where no other
                task could write.
            options: for staging and transport.

        Raises:
            ExportError: a task cannot do what the options ask for.
            TaskUnreachableError: a task is gone.
        """
        del plan, directory, options

    @abstractmethod
    def global_step(self) -> int | None:
        """3. and 5., before and after staging. The job's global step; None where it has none."""

    @abstractmethod
    def stage(self, plan: ExportPlan) -> Staged:
        """4. Each task copies the pieces that it holds in its own memory, or holds them as they are.

        The cut has stopped the writers. The time that this takes is the time that training stands still.

        Raises:
            ExportError: a variable is not as planned.
            TaskUnreachableError: a task is gone.
        """

    def transfers(self) -> Mapping[str, Transfer]:
        """6. Direct transfers by task, for tasks that have one. Called once after :meth:`stage`, before any read."""
        return {}

    @abstractmethod
    def read(self, piece: Piece, row_start: int, row_stop: int) -> Array:
        """7. Rows of a staged piece; of a scalar, row 0 to 1. Any number of times, in any thread.

        Returns:
            an array of the piece's dtype (strings: objects of type ``bytes``), of shape
            ``(row_stop - row_start, *piece.shape[1:])``, or ``()`` for a scalar.
        """

    @abstractmethod
    def read_together(self, pieces: Sequence[Piece]) -> list[Array]:
        """7. All rows of several staged pieces, in their order. Otherwise as :meth:`read`.

        They are neighbours in one pack, or in no pack.
        """

    @abstractmethod
    def discard(self) -> None:
        """8. Free what is staged. Called also when any of the above has failed; a second call does nothing."""
