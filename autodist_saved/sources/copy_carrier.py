"""Carries from copies that a parameter server has attached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from autodist_saved.bundle.dtypes import item_bytes
from autodist_saved.plan import Piece
from autodist_saved.sources.carrier import Carrier, Span
from autodist_saved.sources.source import misplanned
from autodist_saved.sources.staging import Staging
from autodist_saved.transport.line import CopySpan, Line


class CopyCarrier(Carrier):
    """Carries from the staged copies of one parameter server, over a line to it or by having it write itself."""

    def __init__(self, line: Line, staging: Staging, copies: Mapping[int, Piece], *, way: str) -> None:
        """Attach copies.

        Args:
            line: to the parameter server.
            staging: the saver's ops.
            copies: numbers of the copies, and a piece that is in each.
            way: ``shared`` where the parameter server sees the files, else ``stream``.

        Raises:
            TaskUnreachableError: the parameter server is gone.
            ExportError: it cannot find the copies, or they are not as they were planned.
        """
        self.way = way
        self._line = line
        self._staging = staging
        self._places = {number: place for place, number in enumerate(copies)}
        names = [(staging.copies[number].shared_name, staging.copies[number].dtype) for number in copies]
        for piece, shape in zip(copies.values(), line.attach(names), strict=True):
            if piece.pack is None and shape != piece.shape:
                name, dtype = staging.pieces[piece.index].name, staging.pieces[piece.index].dtype
                raise misplanned(name, piece, f"{dtype} {list(shape)}", f"{dtype} {list(piece.shape)}")

    def holds(self, piece: Piece) -> bool:
        return self._staging.pieces[piece.index].copy in self._places

    def carry(self, spans: Sequence[Span], path: Path, *, sync: bool) -> Iterator[list[int]]:
        on_copies = [self._on_copy(span) for span in spans]
        if self.way == "shared":
            return self._line.write(on_copies, path, sync=sync)
        return self._line.receive(on_copies, path)

    def _on_copy(self, span: Span) -> CopySpan:
        staged = self._staging.pieces[span.piece.index]
        first = (staged.packed_at or 0) * (item_bytes(staged.dtype) or 0)
        return CopySpan(self._places[staged.copy], first + span.start, span.nbytes, span.offset)
