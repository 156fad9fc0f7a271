"""Writes of rows: few sets of ops that a session runs, for any number of large variables.

The reason is that of :mod:`autodist_saved.sources.row_reads`. A run assigns the rows that it is given of one
variable, and no rows of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.sources.row_reads import MEMBERS_MAX, Place
from autodist_saved.sources.source import Array


@dataclass(frozen=True)
class RowWrites:
    """One set of ops.

    Attributes:
        rows: placeholders for the rows of each variable.
        assign: assigns all of them.
        starts, stops: placeholders for which rows these are, one for each slot.
    """

    rows: tuple[tf.Tensor, ...]
    assign: tf.Operation
    starts: tf.Tensor
    stops: tf.Tensor

    def write(self, session: v1.Session, slot: int, start: int, rows: Array) -> None:
        """Assign rows of one variable, from ``start`` on."""
        starts, stops = np.zeros([2, MEMBERS_MAX, 1], np.int64)
        starts[slot], stops[slot] = start, start + len(rows)
        none = {one: np.empty([0, *one.shape.as_list()[1:]], one.dtype.as_numpy_dtype) for one in self.rows}
        session.run(self.assign, {**none, self.rows[slot]: rows, self.starts: starts, self.stops: stops})


class RowWritesBuilder:
    """Adds the ops of the sets to the default graph, in the open name scope. Each set has variables of one task."""

    def __init__(self) -> None:
        self._window: tuple[tf.Tensor, tf.Tensor, list[tf.Tensor], list[tf.Tensor]] | None = None
        self._sets: list[tuple[list[tf.Tensor], list[tf.Operation]]] = []
        self._last: dict[str, int] = {}

    def add(self, rows: tf.Tensor, memory: str, assign: Callable[[tf.Tensor, tf.Tensor], tf.Operation]) -> Place:
        """Add a variable, on the device that is open.

        Args:
            rows: placeholder for rows of it.
            memory: the device that is open.
            assign: makes the op that assigns them, given tensors with the first row and with the one after the last.
        """
        starts, stops = self._bounds()
        number = self._last.get(memory)
        if number is None or len(self._sets[number][0]) == MEMBERS_MAX:
            number = self._last[memory] = len(self._sets)
            self._sets.append(([], []))
        members, assigns = self._sets[number]
        slot = len(members)
        members.append(rows)
        assigns.append(assign(starts[slot], stops[slot]))
        return Place(number, slot)

    def made(self) -> tuple[RowWrites, ...]:
        """All sets."""
        if self._window is None:
            return ()
        starts, stops, *_ = self._window
        return tuple(RowWrites(tuple(rows), tf.group(*assigns), starts, stops) for rows, assigns in self._sets)

    def _bounds(self) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        if self._window is None:
            with tf.device(None):
                starts, stops = (v1.placeholder(tf.int64, [MEMBERS_MAX, 1], name) for name in ("starts", "stops"))
                self._window = starts, stops, tf.unstack(starts), tf.unstack(stops)
        return self._window[2:]
