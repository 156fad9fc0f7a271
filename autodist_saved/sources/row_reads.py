"""Reads of rows: few sets of tensors that a session fetches, for any number of copies.

Before a session fetches a set for the first time, TensorFlow prunes and optimizes the whole graph for it. In a graph
of thousands of ops that takes as long as reading many variables. So one set has many copies of one task: a run reads
the rows that are asked for of some of them, and no rows of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.sources.rows import are_rows_readable
from autodist_saved.sources.source import Array

# TensorFlow's graph optimizers take a time that grows with the square of the outputs of an op.
MEMBERS_MAX = 128


class Place(NamedTuple):
    """The place of a copy, or of a variable, in one of several sets.

    Attributes:
        set: number of the set.
        slot: its place in the set.
    """

    set: int
    slot: int


class Rows(NamedTuple):
    """Which rows of a copy are read.

    Attributes:
        start: the first.
        extent: how many.
        rank: how many dimensions the copy has. A scalar is one row of one dimension.
    """

    start: int
    extent: int
    rank: int


@dataclass(frozen=True)
class RowReads:
    """One set of fetches.

    Attributes:
        rows: rows of each copy.
        bounds: placeholders for what ``tf.slice`` takes as begin and size, a row for each slot, by rank. None is a
            rank that is known only when the copy is read; then the set has one copy.
    """

    rows: tuple[tf.Tensor, ...]
    bounds: Mapping[int | None, tuple[tf.Tensor, tf.Tensor]]

    def read(self, session: v1.Session, wanted: Mapping[int, Rows], staged: Iterable[int]) -> dict[int, Array]:
        """Read rows of some copies, in one run.

        Args:
            session: of the graph.
            wanted: the rows, by the slot of the copy.
            staged: the slots of all copies that are there now. Others could not be fetched.

        Returns:
            the rows by slot.
        """
        feeds: dict[tf.Tensor, Array] = {}
        for rank, (begin, size) in self.bounds.items():
            chosen = {slot: rows for slot, rows in wanted.items() if rank in {None, rows.rank}}
            begins, sizes = np.zeros([2, MEMBERS_MAX, rank or next(iter(chosen.values())).rank], np.int64)
            for slot, rows in chosen.items():
                begins[slot, 0], sizes[slot] = rows.start, [rows.extent, *[-1] * (rows.rank - 1)]
            feeds |= {begin: begins, size: sizes}
        slots = sorted({*staged, *wanted})
        fetched = dict(zip(slots, session.run([self.rows[slot] for slot in slots], feeds), strict=True))
        return {slot: fetched[slot] for slot in wanted}


@dataclass(frozen=True)
class _Bounds:
    """Placeholders for begins and sizes of one rank, and one tensor of them for each slot."""

    begins: tf.Tensor
    sizes: tf.Tensor
    begin_of: list[tf.Tensor]
    size_of: list[tf.Tensor]


class RowReadsBuilder:
    """Adds the ops of the sets to the default graph, in the open name scope. Each set has copies of one task."""

    def __init__(self) -> None:
        self._bounds: dict[int | None, _Bounds] = {}
        self._sets: list[tuple[list[tf.Tensor], set[int | None]]] = []
        self._last: dict[str, int] = {}

    def add(self, whole: tf.Tensor, memory: str) -> Place | None:
        """Add a copy, on the device that is open. None where TensorFlow cannot slice it.

        Args:
            whole: reads all of it.
            memory: the device that is open.
        """
        rank = whole.shape.rank
        if not are_rows_readable(whole.dtype, rank):
            return None
        if rank == 0:
            whole, rank = tf.reshape(whole, [1]), 1
        bounds = self._bounds_of(rank)
        # A rank that is known only when it is read may differ from that of all others.
        number = None if rank is None else self._last.get(memory)
        if number is None or len(self._sets[number][0]) == MEMBERS_MAX:
            number = len(self._sets)
            self._sets.append(([], set()))
        if rank is not None:
            self._last[memory] = number
        members, ranks = self._sets[number]
        slot = len(members)
        members.append(tf.slice(whole, bounds.begin_of[slot], bounds.size_of[slot]))
        ranks.add(rank)
        return Place(number, slot)

    def made(self) -> tuple[RowReads, ...]:
        """All sets."""
        placeholders = {rank: (bounds.begins, bounds.sizes) for rank, bounds in self._bounds.items()}
        return tuple(
            RowReads(tuple(rows), {rank: placeholders[rank] for rank in ranks}) for rows, ranks in self._sets
        )

    def _bounds_of(self, rank: int | None) -> _Bounds:
        if rank not in self._bounds:
            with tf.device(None):
                begins, sizes = (v1.placeholder(tf.int64, [MEMBERS_MAX, rank], name) for name in ("begins", "sizes"))
                of_slots = (tf.unstack(placeholder, MEMBERS_MAX) for placeholder in (begins, sizes))
                self._bounds[rank] = _Bounds(begins, sizes, *of_slots)
        return self._bounds[rank]
