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
    """The error for a piece that is not as the plan says, in words."""
    return ExportError(
        f"{piece.task} holds {found} where {planned} was planned; check the slice info of the variable",
        variable=variable,
        task=piece.task,
    )


@dataclass(frozen=True)
class Staged:
    """What has become of a plan when it was staged.

    Attributes:
        plan: the same, in which every shape is known now.
        ways: for each task that holds pieces ``memory``, where it has copied them, or ``parked``, where it has not:
            the writers have to stay stopped until all is read.
        memory: of those tasks that have told it.
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

    The chief alone calls it, in this order. One source serves one export at a time.
    """

    @abstractmethod
    def plan(self) -> ExportPlan:
        """1. What there is. Pure: touches neither session nor network. Raises ``PlanError``."""

    def connect(self, plan: ExportPlan, directory: Path | None, options: ExportOptions) -> None:
        """2. Get ready to stage a plan. The writers go on meanwhile: whatever takes time belongs here.

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
        """3. and 5., around staging. The job's global step; None where it has none."""

    @abstractmethod
    def stage(self, plan: ExportPlan) -> Staged:
        """4. Copy the pieces of the plan beside themselves, each on the task that holds it, or hold them as they are.

        The writers are stopped meanwhile, where the cut can stop them.
        """

    def transfers(self) -> Mapping[str, Transfer]:
        """6. Carriers by task, for those tasks that have one. Called once after :meth:`stage`, before any read."""
        return {}

    @abstractmethod
    def read(self, piece: Piece, row_start: int, row_stop: int) -> Array:
        """7. Rows of a staged piece; of a scalar, row 0 to 1. May be called any number of times, in any thread.

        Returns:
            an array of the piece's dtype (strings: objects of type ``bytes``), of shape
            ``(row_stop - row_start, *piece.shape[1:])``, or ``()`` for a scalar.
        """

    @abstractmethod
    def read_together(self, pieces: Sequence[Piece]) -> list[Array]:
        """7'. All rows of staged pieces that are neighbours in one pack, in order. Otherwise as :meth:`read`."""

    @abstractmethod
    def discard(self) -> None:
        """8. Let go of what is staged. Called also when anything above has failed; may be called again."""
