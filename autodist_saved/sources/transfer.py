"""The contract of a transfer: one task moves what it has staged into the files of a bundle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from autodist_saved.plan import Piece


class Span(NamedTuple):
    """A range of a staged piece and where it goes in a file; all in bytes.

    Attributes:
        piece: the piece, row-major.
        start: first byte in the piece.
        nbytes: how many.
        offset: where they go in the file.
    """

    piece: Piece
    start: int
    nbytes: int
    offset: int


class Transfer(ABC):
    """Moves ranges of pieces of one task, without a way through the chief's memory. The chief alone calls it.

    Attributes:
        way: in a word, for the report: ``stream`` or ``shared``.
    """

    way: str

    @abstractmethod
    def holds(self, piece: Piece) -> bool:
        """Whether it can move this piece, of the task."""

    @abstractmethod
    def move(self, spans: Sequence[Span], path: Path, *, sync: bool) -> Iterator[list[int]]:
        """Move ranges into a file, which is there.

        Args:
            spans: what to move.
            path: the file, as the chief sees it.
            sync: what the task writes itself is flushed to its disk at the end.

        Yields:
            CRC32C, unmasked, of some spans at a time, in order.

        Raises:
            TaskUnreachableError: the task is gone.
            TargetUnwritableError: the file cannot be written.
        """
