"""The contract of a place that variables are restored into."""

from __future__ import annotations

from abc import ABC, abstractmethod

from autodist_saved.plan import ExportPlan, Piece
from autodist_saved.sources.source import Array


class Sink(ABC):
    """The variables of one job, as a restore sees them. The task that restores, the chief, calls it in this order."""

    @abstractmethod
    def plan(self) -> ExportPlan:
        """1. What is to be restored. Pure, as :meth:`Source.plan` is, and with the same pieces."""

    @abstractmethod
    def writes_whole(self, piece: Piece) -> bool:
        """Whether all rows of a piece have to come in one :meth:`write`."""

    @abstractmethod
    def allocate(self) -> None:
        """2. Make room for all pieces; what they held is lost."""

    @abstractmethod
    def write(self, piece: Piece, row_start: int, rows: Array) -> None:
        """3. Rows of a piece, from ``row_start`` on; a scalar is one row. In any order, in any thread, each once."""
