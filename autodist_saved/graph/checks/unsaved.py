"""Variables without a value in the model: the saver does not save them, and the main op does not assign them."""

from __future__ import annotations

from collections.abc import Iterator

from autodist_saved.errors import Problem
from autodist_saved.graph.checks.runs import MAIN_OP, TRAIN_OP, Runs, named
from autodist_saved.graph.graph_def.assigned import assigned, handed_to_functions
from autodist_saved.tf_internals.op_types import VARIABLES


def unsaved_problems(runs: Runs) -> Iterator[Problem]:
    """Yield one problem for each signature, or main op, or train op, that needs variables without a value."""
    body, loading = runs.body, {node.name for node in runs.nodes(runs.when_loaded)}
    restored = body.behind([runs.meta_graph.saver_def.restore_op_name])
    known = restored | assigned(body, loading) | handed_to_functions(body, loading)
    unknown = {node.name for node in body.nodes.values() if node.op in VARIABLES and node.name not in known}
    if not unknown:
        return
    for place, reached in {MAIN_OP: runs.when_loaded, TRAIN_OP: runs.to_train, **runs.of_users}.items():
        names = {node.name for node in runs.nodes(reached)}
        if variables := sorted(names & unknown - assigned(body, names)):
            yield Problem(
                place,
                "it needs variables that the saver does not save and the main op does not assign: "
                + named(variables),
                "make them global variables, before the saver and in its var_list; or have the main op assign them, "
                "as main_op=tf.compat.v1.local_variables_initializer() does with local variables",
            )
