"""Carries what a parameter server has staged by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from autodist_saved.plan import Piece
from autodist_saved.sources.carrier import Carrier, Span
from autodist_saved.transport.line import Line, StagedSpan


class LineCarrier(Carrier):
    """Carries from one parameter server, over a line to it or by having it write itself."""

    def __init__(self, line: Line, places: Mapping[int, int], *, way: str) -> None:
        """Asks nothing yet.

        Args:
            line: to the parameter server.
            places: where each of its pieces, by index, is in what it has attached.
            way: ``shared`` where the parameter server sees the files, else ``stream``.
        """
        self.way = way
        self._line = line
        self._places = places

    def holds(self, piece: Piece) -> bool:
        return piece.index in self._places

    def carry(self, spans: Sequence[Span], path: Path, *, sync: bool) -> Iterator[list[int]]:
        staged = [StagedSpan(self._places[piece.index], start, nbytes, at) for piece, start, nbytes, at in spans]
        if self.way == "shared":
            return self._line.write(staged, path, sync=sync)
        return self._line.receive(staged, path)
