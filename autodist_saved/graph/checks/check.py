"""All checks of a described graph. They refuse it, or warn of it, before anything is written."""

from __future__ import annotations

import logging
from collections.abc import Collection

from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import GraphError, numbered
from autodist_saved.graph.checks.foreign_ops import (
    foreign_op_problems,
    python_op_problems,
    python_train_op_problems,
)
from autodist_saved.graph.checks.placeholders import placeholder_problems
from autodist_saved.graph.checks.random_ops import warn_of_random_ops
from autodist_saved.graph.checks.reassigned import reassigned_problems
from autodist_saved.graph.checks.runs import Runs
from autodist_saved.graph.checks.size import size_problems
from autodist_saved.graph.checks.sources import source_problems
from autodist_saved.graph.checks.unsaved import unsaved_problems
from autodist_saved.graph.graph_def.devices import device_problems, kept_device_problems

log = logging.getLogger(__name__)


def check(
    meta_graph: meta_graph_pb2.MetaGraphDef,
    *,
    devices_cleared: bool,
    serving: bool = False,
    beside_bytes: int = 0,
    custom_ops: Collection[str] = (),
) -> None:
    """Check a meta graph as it is to be written, and log warnings.

    Args:
        meta_graph: with its saver, collections and signatures.
        devices_cleared: whether no op may name a task of the cluster.
        serving: whether the graph is cut at its signatures. Then signatures that cannot be answered are refused. In
            a complete graph they only cause a warning, because TensorFlow's builder writes such graphs.
        beside_bytes: size of the other meta graphs in the same file.
        custom_ops: op types that are not TensorFlow's, and that the user wants all the same.

    Raises:
        GraphError: a loader could not use the graph; all problems at once.
    """
    runs = Runs(meta_graph)
    refused = [
        *foreign_op_problems(runs, custom_ops),
        *python_op_problems(runs, custom_ops),
        *size_problems(meta_graph, beside_bytes),
    ]
    doubtful = [*python_train_op_problems(runs, custom_ops), *reassigned_problems(runs)]
    unanswered = [*placeholder_problems(runs), *unsaved_problems(runs), *source_problems(runs)]
    (refused if serving else doubtful).extend(unanswered)
    if devices_cleared:
        refused += device_problems(meta_graph.graph_def)
    else:
        doubtful += kept_device_problems(meta_graph.graph_def)
    if refused:
        raise GraphError("the graph cannot be written as the model of one machine", problems=refused)
    if doubtful:
        log.warning(
            "%s",
            numbered(
                "the graph can be written, but parts of it will not work when it is loaded as they do here", doubtful
            ),
        )
    warn_of_random_ops(runs)
