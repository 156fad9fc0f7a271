"""Ops that plain TensorFlow does not know. It refuses to load a model that has one, even if the op never runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import tensorflow as tf

from autodist_saved.errors import Problem
from autodist_saved.graph.checks.runs import MAIN_OP, TRAIN_OP, Runs
from autodist_saved.graph.graph_def.reach import Spot, all_ops
from autodist_saved.graph.graph_def.signature_defs import is_for_users
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import functions_of
from autodist_saved.tf_internals.op_types import PYTHON_CALLS


def python_op_problems(runs: Runs, custom_ops: Collection[str]) -> Iterator[Problem]:
    """Yield one problem for each signature, or main op, that calls Python functions (``tf.py_function``).

    Args:
        runs: of the model as it is to be written.
        custom_ops: op types that are allowed.
    """
    if calls := _python_calls(runs, custom_ops):
        reached = {**runs.of_users, MAIN_OP: runs.when_loaded}
        yield from _python_problems(calls, reached, "build the graph without tf.py_function and tf.numpy_function")


def python_train_op_problems(runs: Runs, custom_ops: Collection[str]) -> Iterator[Problem]:
    """Yield a problem where the train op calls Python functions: another process cannot go on training.

    Args:
        runs, custom_ops: as in :func:`python_op_problems`.
    """
    if calls := _python_calls(runs, custom_ops):
        fix = "train without tf.py_function and Dataset.from_generator, or give no train_op"
        yield from _python_problems(calls, {TRAIN_OP: runs.to_train}, fix)


def _python_calls(runs: Runs, custom_ops: Collection[str]) -> set[Spot]:
    types = PYTHON_CALLS.difference(custom_ops)
    return {spot for spot, node in all_ops(runs.meta_graph.graph_def) if node.op in types}


def _python_problems(calls: set[Spot], places: Mapping[str, set[Spot]], fix: str) -> Iterator[Problem]:
    for place, reached in places.items():
        if found := sorted(map(str, reached & calls)):
            what = f"it calls Python functions of this process, which no other process has: {', '.join(found)}"
            yield Problem(place, what, fix)


def foreign_op_problems(runs: Runs, custom_ops: Collection[str]) -> Iterator[Problem]:
    """Yield one problem for each op type of a library outside TensorFlow, such as ``HorovodAllreduce``.

    ``tf.raw_ops`` lists nearly all ops that TensorFlow registers, and none of other libraries. A fresh process says
    whether TensorFlow registers the few others, such as XLA's.

    Args:
        runs: of the model as it is to be written.
        custom_ops: op types that all who load the model have.
    """
    graph_def = runs.meta_graph.graph_def
    known = {*functions_of(graph_def.library), *custom_ops}
    unknown: dict[str, list[Spot]] = {}
    for spot, node in all_ops(graph_def):
        if node.op not in known and not hasattr(tf.raw_ops, node.op):
            unknown.setdefault(node.op, []).append(spot)
    if not unknown:
        return
    plain = private_api.ops_of_plain_tensorflow(frozenset(unknown))
    reached = {key: runs.of_signature(key) for key in sorted(runs.meta_graph.signature_def)}
    for op_type in sorted(unknown.keys() - plain):
        spots = unknown[op_type]
        signatures = [key for key, ops in reached.items() if not ops.isdisjoint(spots)]
        yield _problem(op_type, spots, signatures, run_when_loaded=not runs.when_loaded.isdisjoint(spots))


def _problem(op_type: str, spots: list[Spot], signatures: list[str], *, run_when_loaded: bool) -> Problem:
    asked = [repr(key) for key in signatures if is_for_users(key)]
    if asked:
        who = f"reached by signature {', '.join(asked)}"
        fix = "build the signature's graph without it, as for one machine"
    elif run_when_loaded:
        who, fix = "reached by the main op", "give a main op without it"
    else:
        who = "reached by the train op alone" if signatures else "reached by no signature"
        fix = "give serving=True, which leaves out what no signature reaches"
    return Problem(
        f"op type {op_type!r}",
        f"plain TensorFlow has no such op and cannot load the model; it is the type of {spots[0]}"
        f"{f' and {len(spots) - 1} more' if len(spots) > 1 else ''}, {who}",
        f"{fix}; or, if all who load the model load the op's library first, name the type in "
        "ExportOptions(custom_ops=[...])",
    )
