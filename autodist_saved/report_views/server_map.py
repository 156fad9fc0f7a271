"""A chart of the pieces that each task held: a row for each task, with blocks as wide as their bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autodist_saved.bundle.dtypes import item_bytes
from autodist_saved.plan import ExportPlan, LogicalVariable, Piece
from autodist_saved.report_views.shares import Largest, percent

NAMED = 6  # the number of colours in style.css
_BLOCKS = 24


@dataclass(frozen=True)
class Block:
    """One piece of a variable, or all small pieces of a task together.

    Attributes:
        begin, width: in percent of the bytes of the task that held most.
        tone: number of the piece's variable among the named ones, which selects its colour; None for other variables.
        words: description, for people who do not see the block.
    """

    begin: float
    width: float
    tone: int | None
    words: str


@dataclass(frozen=True)
class TaskRow:
    """The row of one task.

    Attributes:
        task: its name.
        nbytes: bytes of all its pieces.
        pieces: number of its pieces.
        blocks: the pieces as drawn.
    """

    task: str
    nbytes: int
    pieces: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class NamedVariable:
    """One of the largest variables, which has its own colour.

    Attributes:
        tone: its number, which selects the colour.
        name: its name.
        nbytes: bytes of all its pieces.
        tasks: the tasks that held its pieces, sorted.
    """

    tone: int
    name: str
    nbytes: int
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class _Held:
    variable: LogicalVariable
    piece: Piece
    nbytes: int


@dataclass(frozen=True)
class ServerMap:
    """The chart.

    Attributes:
        rows: one row for each task that held variables.
        named: the largest variables, which have their own colours.
    """

    rows: tuple[TaskRow, ...]
    named: tuple[NamedVariable, ...]

    @classmethod
    def of(cls, plan: ExportPlan, stored: Mapping[str, int]) -> ServerMap:
        """Draw the chart.

        Args:
            plan: the plan of the export.
            stored: stored bytes of variables by name. Needed for strings, whose sizes a plan does not contain.
        """
        held = [_held(variable, piece, stored) for variable in plan.variables for piece in variable.pieces]
        totals: dict[str, int] = {}
        for one in held:
            totals[one.variable.name] = totals.get(one.variable.name, 0) + one.nbytes
        largest = Largest.of(plan.variables, lambda variable: totals.get(variable.name, 0), NAMED).shown
        tones = {variable.name: tone for tone, variable in enumerate(largest)}
        by_task = {task: [one for one in held if one.piece.task == task] for task in plan.tasks()}
        most = max((sum(one.nbytes for one in pieces) for pieces in by_task.values()), default=0)
        return cls(
            tuple(_row(task, pieces, tones, most) for task, pieces in by_task.items()),
            tuple(NamedVariable(tones[one.name], one.name, totals.get(one.name, 0), _tasks(one)) for one in largest),
        )


def _held(variable: LogicalVariable, piece: Piece, stored: Mapping[str, int]) -> _Held:
    nbytes = math.prod(piece.shape) * (item_bytes(variable.dtype) or 0)
    if not nbytes and len(variable.pieces) == 1:
        nbytes = stored.get(variable.name, 0)
    return _Held(variable, piece, nbytes)


def _tasks(variable: LogicalVariable) -> tuple[str, ...]:
    return tuple(sorted({piece.task for piece in variable.pieces}))


def _row(task: str, pieces: list[_Held], tones: Mapping[str, int], most: int) -> TaskRow:
    largest = Largest.of(pieces, lambda one: one.nbytes, _BLOCKS)
    drawn = sorted(largest.shown, key=lambda one: (tones.get(one.variable.name, NAMED), -one.nbytes))
    parts: list[tuple[int, int | None, str]] = [
        (one.nbytes, tones.get(one.variable.name), _words(one)) for one in drawn
    ]
    if largest.others:
        parts.append((largest.others_nbytes, None, f"{largest.others:,} smaller pieces"))
    total = sum(one.nbytes for one in pieces)
    return TaskRow(task, total, len(pieces), tuple(_blocks(parts, most)))


def _blocks(parts: Iterable[tuple[int, int | None, str]], most: int) -> Iterable[Block]:
    at = 0
    for nbytes, tone, words in parts:
        yield Block(percent(at, most), percent(nbytes, most), tone, f"{words}: {nbytes:,} bytes")
        at += nbytes


def _words(one: _Held) -> str:
    piece, name = one.piece, one.variable.name
    if piece.shape == one.variable.shape or not piece.shape:
        return name
    ranges = ", ".join(f"{first}:{first + n}" for first, n in zip(piece.offset, piece.shape, strict=True))
    return f"{name}[{ranges}]"
