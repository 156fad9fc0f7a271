"""Step detection: finds out from the graph alone which runs of a session change the job's variables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from autodist_saved.errors import UsageError
from autodist_saved.job.sync_wait import SyncWait
from autodist_saved.job.sync_waits import changed_beside, sync_waits
from autodist_saved.job.variable_writes import VariableWrites
from autodist_saved.tf_internals.graph_walk import producers, walk
from autodist_saved.tf_internals.name_scope import own_scopes

_REMEMBERED_MAX = 1000


@dataclass(frozen=True)
class RunKind:
    """What a run of some fetches is to the gate.

    Attributes:
        is_step: whether it changes variables.
        wait: the wait for other tasks in it, during which it is in no step; None where the whole run is the step.
        begins_inside: whether it changes variables before that wait.
    """

    is_step: bool
    wait: SyncWait | None = None
    begins_inside: bool = False


_NO_STEP = RunKind(is_step=False)
_STEP = RunKind(is_step=True)


class StepDetector:
    """Finds out for one graph which fetches change variables. Local variables and those of this package do not count.

    In doubt a fetch changes variables: ops of unknown types do, and fetches of unknown kinds.
    """

    def __init__(self, graph: tf.Graph) -> None:
        self._graph = graph
        self._writes = VariableWrites(graph)
        # By the identities of the fetches. The fetches are kept, so that no new object can get the same identity.
        self._remembered: dict[tuple[int, ...], tuple[list[Any], RunKind]] = {}

    def any_in(self, fetches: Any) -> bool:
        """Whether a run of these fetches, as ``Session.run`` takes them, changes variables."""
        return self.look(fetches).is_step

    def look(self, fetches: Any) -> RunKind:
        """What a run of these fetches, as ``Session.run`` takes them, is.

        Raises:
            UsageError: the run would wait for other tasks within a step, so no cut could stop this task.
        """
        leaves = list(_leaves(fetches))
        key = tuple(map(id, leaves))
        known = self._remembered.get(key)
        if known is None:
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            known = self._remembered[key] = leaves, self._find(leaves)
        return known[1]

    def _find(self, leaves: Iterable[Any]) -> RunKind:
        try:
            elements = [self._graph.as_graph_element(leaf) for leaf in leaves]
        except (TypeError, ValueError, KeyError):
            return _STEP
        ends = {element if isinstance(element, tf.Operation) else element.op for element in elements}
        all_waits = sync_waits(self._graph)
        if not all_waits:  # a train op changes something near its end, so most of a graph need not be looked at
            return _STEP if self._writes.any_among(walk(ends, producers)) else _NO_STEP
        reached = set(walk(ends, producers))
        writing = list(self._writes.among(reached))
        waits = [wait for wait in all_waits if wait.ops & reached]
        self._check_alone(waits, ends)
        if not writing or not waits:
            return RunKind(is_step=bool(writing))
        (wait, *others) = waits
        if others:
            told = " and ".join(sorted(other.what for other in waits))
            raise _held(writing, told, "Run what waits for one of them at a time")
        if beside := changed_beside(wait, writing):
            raise _held(beside, wait.what, _ORDER)
        return RunKind(is_step=True, wait=wait, begins_inside=self._changes_before(wait, writing))

    def _changes_before(self, wait: SyncWait, writing: Iterable[tf.Operation]) -> bool:
        return wait.leave is not None and not set(walk([wait.leave], producers)).isdisjoint(writing)

    def _check_alone(self, waits: Iterable[SyncWait], ends: Iterable[tf.Operation]) -> None:
        """Raise ``UsageError`` for a run that gets a wait only because of a gate that was put into the graph."""
        own = own_scopes(self._graph)
        users = set(walk(ends, lambda op: (one for one in producers(op) if not one.name.startswith(own))))
        for wait in waits:
            if wait.ops.isdisjoint(users):
                names = ", ".join(sorted(end.name for end in ends if not wait.ops.isdisjoint(walk([end], producers))))
                raise UsageError(
                    f"{names}: a part of a synchronous update, which alone may run it, for it would take gradients; "
                    "fetch it together with that update, or not at all"
                )


_ORDER = (
    "Change them before: with tf.control_dependencies([...]): train_op = optimizer.minimize(...); or afterwards: "
    "with tf.control_dependencies([train_op]): ..."
)


def _held(operations: Iterable[tf.Operation], what: str, advice: str) -> UsageError:
    names = ", ".join(sorted(op.name for op in operations))
    return UsageError(
        f"{names}: variables would be changed while the same run waits for {what}, which comes from other tasks; a "
        f"cut stops these, so none could ever succeed. {advice}"
    )


def _leaves(fetches: Any) -> Iterator[Any]:
    if isinstance(fetches, Mapping):
        for value in fetches.values():
            yield from _leaves(value)
    elif isinstance(fetches, list | tuple):
        for value in fetches:
            yield from _leaves(value)
    elif fetches is not None:
        yield fetches
