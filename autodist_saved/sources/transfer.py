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
    """Moves ranges of one task's pieces into files, without holding them in the chief's memory.

    Only the chief calls it: one thread for each task.

    Attributes:
        way: for the report: ``stream`` or ``shared``.
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
            sync: flush to the disk what the task writes itself.

        Yields:
            CRC32C, unmasked, of the next spans, in order.

        Raises:
            TaskUnreachableError: the task is gone.
            TargetUnwritableError: the file cannot be written.
        """
