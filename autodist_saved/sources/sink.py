"""The contract of a place that variables are restored into."""

from __future__ import annotations

from abc import ABC, abstractmethod

from autodist_saved.plan import ExportPlan, Piece
from autodist_saved.sources.source import Array


class Sink(ABC):
    """The variables of one job, as a restore sees them. Only the chief calls it, in the order of the numbers."""

    @abstractmethod
    def plan(self) -> ExportPlan:
        """1. The variables to restore, in the same pieces as :meth:`Source.plan`. Pure."""

    @abstractmethod
    def writes_whole(self, piece: Piece) -> bool:
        """Whether one :meth:`write` has to bring all rows of a piece. Pure."""

    @abstractmethod
    def allocate(self) -> None:
        """2. Allocate all pieces. Their old values are lost."""

    @abstractmethod
    def write(self, piece: Piece, row_start: int, rows: Array) -> None:
        """3. Assign rows of a piece, from ``row_start`` on; a scalar is one row. In any order, in any thread, once.

        Raises:
            tf.errors.OpError: the task that holds the piece is gone.
        """
