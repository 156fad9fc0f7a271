"""The contract of a carrier: it brings what one task has staged into the files of a bundle."""

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


class Carrier(ABC):
    """Moves ranges of pieces of one task, without a way through the chief's memory. The chief alone calls it."""

    @abstractmethod
    def holds(self, piece: Piece) -> bool:
        """Whether it can carry this piece, of the task."""

    @abstractmethod
    def sees(self, path: Path, contents: bytes) -> bool:
        """Whether the task finds this file, with these contents, and may write it."""

    @abstractmethod
    def receive(self, spans: Sequence[Span], path: Path) -> Iterator[list[int]]:
        """Have the task send ranges, and put them into a file of the chief's.

        Yields:
            CRC32C, unmasked, of some spans at a time, in order.

        Raises:
            TaskUnreachableError: the task is gone.
            TargetUnwritableError: the file cannot be written.
        """

    @abstractmethod
    def write(self, spans: Sequence[Span], path: Path, *, sync: bool) -> Iterator[list[int]]:
        """Have the task write ranges into a file that it sees, and flush it if ``sync``; as :meth:`receive` else."""
