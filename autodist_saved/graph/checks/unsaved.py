"""Variables that have no value in the model: they are not saved, and the main op does not assign them any."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import Problem
from autodist_saved.graph.assigned import assigned, handed_to_functions
from autodist_saved.graph.body import Body, node_of
from autodist_saved.graph.checks.runs import MAIN_OP, TRAIN_OP, named, run_to_train, run_when_loaded, runs_of_users
from autodist_saved.graph.reach import Spot
from autodist_saved.graph.tables import collected_main_ops
from autodist_saved.graph.variable_defs import VARIABLES


def unsaved_problems(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Problem]:
    """One problem for each signature, or main op, or train op, that needs variables without a value.

    Args:
        meta_graph: with its saver.
    """
    body = Body(meta_graph.graph_def)
    loading = body.behind(map(node_of, collected_main_ops(meta_graph)))
    restored = body.behind([meta_graph.saver_def.restore_op_name])
    known = restored | assigned(body, loading) | handed_to_functions(body, loading)
    unknown = {Spot(node.name) for node in body.nodes.values() if node.op in VARIABLES and node.name not in known}
    if not unknown:
        return
    runs = {MAIN_OP: run_when_loaded(meta_graph), TRAIN_OP: run_to_train(meta_graph), **runs_of_users(meta_graph)}
    for place, reached in runs.items():
        own = assigned(body, (spot.op for spot in reached if not spot.function))
        if variables := sorted({spot.op for spot in reached & unknown} - own):
            yield Problem(
                place,
                "it needs variables that the saver does not save and the main op does not assign: "
                + named(variables),
                "make them global variables, before the saver and in its var_list; or have the main op assign them, "
                "as main_op=tf.compat.v1.local_variables_initializer() does with local variables",
            )
