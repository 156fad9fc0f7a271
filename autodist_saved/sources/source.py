"""The contract of a source of variables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autodist_saved.errors import ExportError
from autodist_saved.options import Transport
from autodist_saved.plan import ExportPlan, Piece
from autodist_saved.sources.carrier import Carrier

Array = npt.NDArray[np.generic]


def misplanned(variable: str, piece: Piece, found: str, planned: str) -> ExportError:
    """The error for a piece that is not as the plan says, in words."""
    return ExportError(
        f"{piece.task} holds {found} where {planned} was planned; check the slice info of the variable",
        variable=variable,
        task=piece.task,
    )


class Source(ABC):
    """The variables of one job, as an export sees them.

    The chief alone calls it, in this order. One source serves one export at a time.
    """

    @abstractmethod
    def plan(self) -> ExportPlan:
        """1. What there is. Pure: touches neither session nor network. Raises ``PlanError``."""

    @abstractmethod
    def global_step(self) -> int | None:
        """2. and 4., around staging. The job's global step; None where it has none."""

    @abstractmethod
    def stage(self, plan: ExportPlan) -> ExportPlan:
        """3. Copy the pieces of a plan beside themselves, each on the task that holds it.

        Args:
            plan: what :meth:`plan` gave, or some variables of it.

        Returns:
            the same plan, in which every shape is known now.
        """

    def carriers(self, directory: Path, transport: Transport) -> Mapping[str, Carrier]:
        """5. Carriers by task, for those tasks that have one. Called once after :meth:`stage`, before any read.

        Args:
            directory: where the files are written. It is there.
            transport: which way the carriers may take.

        Raises:
            ExportError: a task cannot take that way.
            TaskUnreachableError: a task is gone.
        """
        del directory, transport
        return {}

    @abstractmethod
    def read(self, piece: Piece, row_start: int, row_stop: int) -> Array:
        """6. Rows of a staged piece; of a scalar, row 0 to 1. May be called any number of times, in any thread.

        Returns:
            an array of the piece's dtype (strings: objects of type ``bytes``), of shape
            ``(row_stop - row_start, *piece.shape[1:])``, or ``()`` for a scalar.
        """

    @abstractmethod
    def read_together(self, pieces: Sequence[Piece]) -> list[Array]:
        """6'. All rows of staged pieces that are neighbours in one pack, in order. Otherwise as :meth:`read`."""

    @abstractmethod
    def discard(self) -> None:
        """7. Free the staged copies. Called also when anything above has failed; may be called again."""
