"""Finds the waits of synchronous training in a graph, and puts a gate around each."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Set

import tensorflow as tf

from autodist_saved.errors import UsageError
from autodist_saved.job.sync_wait import SyncWait
from autodist_saved.job.variable_writes import VariableWrites
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import consumers, producers, walk
from autodist_saved.tf_internals.name_scope import own_scope
from autodist_saved.tf_internals.op_types import (
    DEQUEUES,
    ENQUEUES,
    ENTERS,
    EXITS,
    GRADIENT_TAKES,
    MERGES,
    PASS_THROUGH,
    SWITCHES,
    VARIABLE_READS,
)

_waits: weakref.WeakKeyDictionary[tf.Graph, list[SyncWait]] = weakref.WeakKeyDictionary()


def sync_waits(graph: tf.Graph) -> tuple[SyncWait, ...]:
    """The waits of a graph that have a gate."""
    return tuple(_waits.get(graph, ()))


def put_sync_waits(graph: tf.Graph) -> None:
    """Put a gate around every wait of synchronous training. The graph must not be final.

    Called on each task, in the device scope of the task; again when the graph has grown.

    Two kinds of ops wait: those that take the gradients of an update, and those that take the token which the update
    hands out. What an update changes without waiting for its gradients, such as moments that Adam lets decay when
    gradients are sparse, is made to wait for the gate, too.
    """
    waits = [*sync_waits(graph), *_without_gate(graph)]
    if not waits:
        return
    writes = VariableWrites(graph)
    with graph.as_default(), own_scope(placed=True):
        for wait in waits:
            _put(wait, writes)
    _waits[graph] = waits


def check_sync_waits(graph: tf.Graph, device: str | None = None) -> None:
    """See to it that cuts can stop the synchronous training of a graph. Called before its first session.

    Args:
        graph: it may be final if its gates are there already.
        device: the task's own, on which its gates are called; None to leave them where they are.

    Raises:
        UsageError: an update changes variables that cannot wait for its gradients; or a final graph lacks gates.
    """
    if graph.finalized and _without_gate(graph):
        raise UsageError(
            "the graph trains with SyncReplicasOptimizer, and it is final: a synchronous update needs a gate, and "
            "nothing can be added any more. Make the autodist_saved.Saver after the optimizer's minimize(), and the "
            "session before scaffold.finalize()"
        )
    if not graph.finalized:
        put_sync_waits(graph)
    waits = sync_waits(graph)
    if device is not None:
        for op in (op for wait in waits for op in wait.own_ops):
            private_api.place(op, device)
    _check(waits, VariableWrites(graph))


def changed_beside(wait: SyncWait, writing: Iterable[tf.Operation]) -> list[tf.Operation]:
    """Those of the ops that a run may do while it waits: neither before that nor afterwards."""
    before = set[tf.Operation]() if wait.leave is None else set(walk([wait.leave], producers))
    behind = set[tf.Operation]() if wait.enter is None else set(walk([wait.enter], consumers))
    return [op for op in writing if op not in before and op not in behind]


def _without_gate(graph: tf.Graph) -> list[SyncWait]:
    known = sync_waits(graph)
    return [wait for wait in _found(graph.get_operations()) if not any(wait.ops & one.ops for one in known)]


def _found(operations: list[tf.Operation]) -> Iterator[SyncWait]:
    if not any(operation.type in GRADIENT_TAKES for operation in operations):
        return
    # An update ends when it hands out tokens: with these the replicas go on.
    updates: list[tuple[set[tf.Operation], list[tf.Operation]]] = []
    for end in (operation for operation in operations if operation.type in ENQUEUES):
        takes = {op for op in walk([end], producers) if op.type in GRADIENT_TAKES}
        same = next((update for update in updates if update[0] & takes), None)
        if same is not None:
            same[0].update(takes)
            same[1].append(end)
        elif takes:
            updates.append((takes, [end]))
    for takes, ends in updates:
        yield SyncWait("gradients", takes, ends)
        queues = {end.inputs[0].op for end in ends}
        for token in operations:
            if token.type in DEQUEUES and token.inputs[0].op in queues:
                yield SyncWait("the token of an update", [token])


def _put(wait: SyncWait, writes: VariableWrites) -> None:
    before = [op for op in walk(wait.ops, producers) if op not in wait.ops]
    behind = [op for op in walk(wait.ops, consumers) if op not in wait.ops]
    joined = [] if wait.ends else _joined({*before, *behind, *wait.ops}, behind, writes)
    if wait.leave is None and (joined or writes.any_among(before)):
        leave = wait.add_leave({one for op in wait.ops for one in producers(op)})
        for op in wait.ops:
            private_api.add_control_input(op, leave)
    if wait.leave is not None:
        _have_wait([wait.leave], joined)
    if wait.enter is None and writes.any_among(behind):
        wait.add_enter(wait.ops)
    if wait.enter is not None:
        takers = {taker for op in wait.ops for taker in consumers(op) if taker != wait.enter}
        _have_wait(takers, [wait.enter])
        if wait.ends:
            _move_behind(wait.enter, wait.ends, set(before), writes)


def _have_wait(operations: Iterable[tf.Operation], before: Iterable[tf.Operation]) -> None:
    for op in operations:
        for missing in set(before).difference(op.control_inputs):
            private_api.add_control_input(op, missing)


def _joined(ordered: Set[tf.Operation], behind: Iterable[tf.Operation], writes: VariableWrites) -> list[tf.Operation]:
    """What is changed beside a wait in every run that goes to its end: it may as well come before the wait.

    So it is with moments of a loss that a train op returns, ``with tf.control_dependencies([apply_gradients])``.
    """
    ends = [op for op in behind if not any(consumers(op)) and not _is_read(op)]
    in_every_run = set.intersection(*(set(walk([end], producers)) for end in ends)) if ends else set()
    return list(writes.among(in_every_run - ordered))


def _is_read(operation: tf.Operation) -> bool:
    """Whether an op only reads a variable. TensorFlow adds such ops to what is assigned, needed or not."""
    if operation.type == "Identity":
        return operation.inputs[0].op.type in VARIABLE_READS
    return operation.type in VARIABLE_READS


def _move_behind(
    enter: tf.Operation, ends: Iterable[tf.Operation], before: Set[tf.Operation], writes: VariableWrites
) -> None:
    """Have everything that an update changes wait for the gate, and what this is computed from as well.

    Some ops stay as they are: those that are not the update's alone, because other runs of them would take gradients,
    and those within a loop, where nothing can wait for what is outside.
    """
    update = set(walk(ends, producers))
    after = set(walk(ends, consumers))
    loops = _in_loops(enter.graph)

    def moved_with(operation: tf.Operation) -> list[tf.Operation]:
        # What a reference variable is read with passes its memory on: that is read when the op behind is run.
        return [op for op in producers(operation) if op.type not in PASS_THROUGH and is_movable(op)]

    def is_movable(operation: tf.Operation) -> bool:
        return (
            operation not in before
            and operation not in behind
            and operation not in loops
            and all(op in update or op in after or _is_read(op) for op in walk([operation], consumers))
        )

    behind = set(walk([enter], consumers))
    early = [op for op in writes.among(update) if is_movable(op)]
    kept = {op for op in update if not op.inputs or op.type in SWITCHES | MERGES}
    _have_wait([op for op in walk(early, moved_with) if op not in kept], [enter])


def _in_loops(graph: tf.Graph) -> set[tf.Operation]:
    """The ops within the loops of a graph, those at their ends too."""
    enters = [op for op in graph.get_operations() if op.type in ENTERS]
    starts = [taker for op in enters for taker in consumers(op)]
    return set(walk(starts, lambda op: () if op.type in EXITS else consumers(op)))


def _check(waits: Iterable[SyncWait], writes: VariableWrites) -> None:
    problems = [
        f"{op.name} ({op.type})"
        for wait in waits
        for op in changed_beside(wait, writes.among(walk(wait.ends, producers)))
    ]
    if problems:
        raise UsageError(
            f"the synchronous update changes variables while it waits for gradients, so no cut could stop it: "
            f"{', '.join(sorted(problems))}. Something else needs these ops, too, or they are in a loop. "
            "Change the variables in ops of their own, outside of loops"
        )
