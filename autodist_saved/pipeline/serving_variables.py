"""What the graph of a job, and its saver, say for a serving graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import Problem
from autodist_saved.graph.folding.region import Holder, Region
from autodist_saved.graph.serving.serving_graph import Serving
from autodist_saved.plan import ExportPlan
from autodist_saved.sources.staging_ops import StagedPiece, StagingOps

MovingAverages: TypeAlias = tf.train.ExponentialMovingAverage | Mapping[str, str]

_PLACE = "moving_averages"


def serving_of(
    staging: StagingOps,
    moving_averages: MovingAverages | None,
    first: StagingOps | None = None,
    captured: ExportPlan | None = None,
) -> tuple[Serving, Sequence[Problem]]:
    """What a serving graph is made with, and what is wrong with the averages.

    Args:
        staging: of the saver in its graph.
        moving_averages: the averages whose values variables are to have, or their names by those of the variables.
        first: of the saver whose variables are captured already; None where they are captured for this graph.
        captured: what is.
    """
    averages, problems = _averages(moving_averages, first or staging)
    keys = None if captured is None else {variable.value: variable.name for variable in captured.variables}
    return Serving(_holders(staging), averages, keys), problems


def _holders(staging: StagingOps) -> tuple[Holder, ...]:
    return tuple(
        Holder(piece.node, piece.name, _region(piece) if piece.is_slice else None)
        for piece in staging.pieces
        if piece.node is not None
    )


def _averages(averages: MovingAverages | None, staging: StagingOps) -> tuple[Mapping[str, str], Sequence[Problem]]:
    """Names of averages by those of their variables. One that the saver does not save is called after its node."""
    if averages is None:
        return {}, ()
    names = {piece.node: piece.name for piece in staging.pieces if piece.node is not None}
    if isinstance(averages, Mapping):
        unknown = sorted(averages.keys() - set(names.values()))
        fix = "name variables as the saver does"
        return averages, [Problem(_PLACE, f"the saver saves no variable {name!r}", fix) for name in unknown]
    if not hasattr(averages, "average"):
        fix = "give the ExponentialMovingAverage itself, or names of averages by names of variables"
        return {}, [Problem(_PLACE, f"{averages!r} is neither moving averages nor a mapping", fix)]
    found = {}
    for variable in staging.stage.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES):
        average = averages.average(variable)
        if average is not None and _node(variable) in names:
            found[names[_node(variable)]] = names.get(_node(average), _node(average))
    if found:
        return found, ()
    return {}, [Problem(_PLACE, "it has no averages of the saver's variables", "call its apply() in training")]


def _node(variable: tf.Variable) -> str:
    return str(variable.op.name)


def _region(piece: StagedPiece) -> Region:
    return Region(piece.name, piece.dtype, piece.full_shape or (), piece.offset, piece.shape or ())
