"""A wait for other tasks within a run of synchronous training: meanwhile the run is in no step.

The chief's update thread of ``SyncReplicasOptimizer`` spends most of its time in runs that wait for gradients, and a
worker most of a run waiting for the token with which it goes on. If such a run were a step from its beginning to its
end, no cut could succeed: what it waits for comes from tasks that stand still already.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import TracebackType

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1


class SyncWait:
    """Ops of a graph that wait for other tasks, and the ops of ours around them: the gate of one such wait.

    Attributes:
        what: what the ops wait for.
        ops: they wait.
        ends: the last ops of the update that needs the gradients; none where tokens are waited for.
        leave: with it a run leaves its step, before it waits; None where nothing is changed before.
        enter: with it a run enters a step, when it has waited; None where nothing is changed afterwards.
        number: placeholder to which a run feeds its number, so that these two know whose step it is.
    """

    def __init__(self, what: str, ops: Iterable[tf.Operation], ends: Iterable[tf.Operation] = ()) -> None:
        self.what = what
        self.ops = frozenset(ops)
        self.ends = tuple(ends)
        self.leave: tf.Operation | None = None
        self.enter: tf.Operation | None = None
        self.number: tf.Tensor | None = None
        self._numbers = itertools.count(1)
        self._runs: dict[int, PartedRun] = {}

    @property
    def own_ops(self) -> tuple[tf.Operation, ...]:
        """Those that were added."""
        number = None if self.number is None else self.number.op
        return tuple(op for op in (self.leave, self.enter, number) if op is not None)

    def add_leave(self, after: Iterable[tf.Operation]) -> tf.Operation:
        """Add the op that leaves the step, to the default graph, and return it."""
        self.leave = self._add("leave", after, PartedRun.leave)
        return self.leave

    def add_enter(self, after: Iterable[tf.Operation]) -> tf.Operation:
        """Add the op that enters a step, to the default graph, and return it."""
        self.enter = self._add("enter", after, PartedRun.enter)
        return self.enter

    def run(self, step: AbstractContextManager[None], *, begins_inside: bool) -> PartedRun:
        """A context for one run with this wait, which is in ``step`` only before or after it waits."""
        return PartedRun(self._runs, next(self._numbers), step, begins_inside=begins_inside)

    def feed(self, run: PartedRun) -> dict[tf.Tensor, int]:
        """What a run feeds besides what its caller does."""
        return {self.number: run.number}

    def _add(self, name: str, after: Iterable[tf.Operation], call: Callable[[PartedRun], None]) -> tf.Operation:
        def pass_through(number: np.int64) -> np.int64:
            run = self._runs.get(int(number))
            if run is not None:  # else a session without a gate runs this
                call(run)
            return np.int64(0)

        if self.number is None:
            self.number = v1.placeholder_with_default(tf.zeros([], tf.int64), [], "run")
        with tf.control_dependencies(list(after)):
            return tf.numpy_function(pass_through, [self.number], tf.int64, name=name).op


class PartedRun(AbstractContextManager[None]):
    """One run with a wait. The thread that runs it enters and ends it; threads of TensorFlow call the rest."""

    def __init__(
        self, runs: dict[int, PartedRun], number: int, step: AbstractContextManager[None], *, begins_inside: bool
    ) -> None:
        self.number = number
        self._runs = runs
        self._step = step
        self._begins_inside = begins_inside
        self._is_inside = False
        self._is_over = False
        # An op may still wait at the gate when its run has failed: the run's thread waits for it then.
        self._turn = threading.Lock()

    def __enter__(self) -> None:
        self._runs[self.number] = self
        if self._begins_inside:
            self.enter()

    def leave(self) -> None:
        """Everything up to the wait is done."""
        with self._turn:
            if self._is_inside:
                self._is_inside = False
                self._step.__exit__(None, None, None)

    def enter(self) -> None:
        """The run has waited, and changes variables from now on. Blocks while a cut lasts."""
        with self._turn:
            if not self._is_inside and not self._is_over:
                self._step.__enter__()
                self._is_inside = True

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._runs.pop(self.number, None)
        with self._turn:
            self._is_over = True
            if self._is_inside:
                self._is_inside = False
                self._step.__exit__(exception_type, exception, traceback)
