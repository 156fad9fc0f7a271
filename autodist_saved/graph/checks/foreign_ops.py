"""Ops that a plain TensorFlow does not know. No model in which there is one can be loaded, whether it runs or not."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import Problem
from autodist_saved.graph.checks.runs import MAIN_OP, TRAIN_OP, Runs, run_to_train, run_when_loaded, runs_of_users
from autodist_saved.graph.reach import Reach, Spot, all_ops, is_for_users
from autodist_saved.graph.tables import collected_main_ops
from autodist_saved.tf_internals import private_api

# What they call is a Python function, which a table of the process holds that has made them.
_PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})


def python_op_problems(meta_graph: meta_graph_pb2.MetaGraphDef, custom_ops: Collection[str]) -> Iterator[Problem]:
    """One problem for each signature, or main op, that calls Python functions (``tf.py_function``).

    Args:
        meta_graph: the model as it is to be written.
        custom_ops: types of ops that are admitted all the same.
    """
    calls = _python_calls(meta_graph, custom_ops)
    if calls:
        reached = {**runs_of_users(meta_graph), MAIN_OP: run_when_loaded(meta_graph)}
        yield from _python_problems(calls, reached, "build the graph without tf.py_function and tf.numpy_function")


def python_train_op_problems(
    meta_graph: meta_graph_pb2.MetaGraphDef, custom_ops: Collection[str]
) -> Iterator[Problem]:
    """A problem where the train op calls Python functions: then nobody goes on training in another process.

    Args:
        meta_graph, custom_ops: as in :func:`python_op_problems`.
    """
    if calls := _python_calls(meta_graph, custom_ops):
        fix = "train without tf.py_function and Dataset.from_generator, or give no train_op"
        yield from _python_problems(calls, {TRAIN_OP: run_to_train(meta_graph)}, fix)


def _python_calls(meta_graph: meta_graph_pb2.MetaGraphDef, custom_ops: Collection[str]) -> set[Spot]:
    types = _PYTHON_OPS - set(custom_ops)
    return {spot for spot, node in all_ops(meta_graph.graph_def) if node.op in types}


def _python_problems(calls: set[Spot], runs: Runs, fix: str) -> Iterator[Problem]:
    for place, reached in runs.items():
        if found := sorted(map(str, reached & calls)):
            what = f"it calls Python functions of this process, which no other one has: {', '.join(found)}"
            yield Problem(place, what, fix)


def foreign_op_problems(meta_graph: meta_graph_pb2.MetaGraphDef, custom_ops: Collection[str]) -> Iterator[Problem]:
    """One problem for each type of op that comes from a library outside TensorFlow (``HorovodAllreduce``).

    ``tf.raw_ops`` lists nearly all ops that TensorFlow registers, whatever libraries this process has loaded. A
    fresh process is asked about the few others, such as XLA's.

    Args:
        meta_graph: the model as it is to be written.
        custom_ops: types of ops that whoever loads the model knows.
    """
    known = {function.signature.name for function in meta_graph.graph_def.library.function}.union(custom_ops)
    unknown: dict[str, list[Spot]] = {}
    for spot, node in all_ops(meta_graph.graph_def):
        if node.op not in known and not hasattr(tf.raw_ops, node.op):
            unknown.setdefault(node.op, []).append(spot)
    if not unknown:
        return
    plain = private_api.ops_of_plain_tensorflow(frozenset(unknown))
    reach = Reach(meta_graph.graph_def)
    reached = {key: reach.of_signature(signature) for key, signature in sorted(meta_graph.signature_def.items())}
    loading = reach.of(collected_main_ops(meta_graph))
    for op_type in sorted(unknown.keys() - plain):
        spots = unknown[op_type]
        signatures = [key for key, ops in reached.items() if not ops.isdisjoint(spots)]
        yield _problem(op_type, spots, signatures, run_when_loaded=not loading.isdisjoint(spots))


def _problem(op_type: str, spots: list[Spot], signatures: list[str], *, run_when_loaded: bool) -> Problem:
    asked = [repr(key) for key in signatures if is_for_users(key)]
    if asked:
        who = f"reached by signature {', '.join(asked)}"
        fix = "build the signature's graph without it, as for one machine"
    elif run_when_loaded:
        who, fix = "reached by the main op", "give a main op without it"
    else:
        who = "reached by the train op alone" if signatures else "reached by no signature"
        fix = "serving=True writes what the signatures reach and leaves it out"
    return Problem(
        f"op type {op_type!r}",
        f"a plain TensorFlow has no such op and cannot load the model; it is that of {spots[0]}"
        f"{f' and {len(spots) - 1} more' if len(spots) > 1 else ''}, {who}",
        f"{fix}; or, if all who load the model have loaded the op's library before, name it in "
        "ExportOptions(custom_ops=[...])",
    )
