"""What the graph of a job, and its saver, say for a serving graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import BindingError, Problem, UsageError
from autodist_saved.graph.region import Holder, Region
from autodist_saved.graph.serving import Serving
from autodist_saved.plan import ExportPlan
from autodist_saved.sources.staging import StagedPiece, Staging

MovingAverages: TypeAlias = tf.train.ExponentialMovingAverage | Mapping[str, str]


def serving_of(
    staging: Staging,
    moving_averages: MovingAverages | None,
    first: Staging | None = None,
    captured: ExportPlan | None = None,
) -> Serving:
    """What a serving graph is made with.

    Args:
        staging: of the saver in its graph.
        moving_averages: the averages whose values variables are to have, or their names by those of the variables.
        first: of the saver whose variables are captured already; None where they are captured for this graph.
        captured: what is.

    Raises:
        UsageError: there are averages of none of its variables.
        BindingError: there are averages of unknown variables; all of them.
    """
    averages = _averages(moving_averages, first or staging) if moving_averages is not None else {}
    keys = None if captured is None else {variable.value: variable.name for variable in captured.variables}
    return Serving(_holders(staging), averages, keys)


def _holders(staging: Staging) -> tuple[Holder, ...]:
    return tuple(
        Holder(piece.node, piece.name, _region(piece) if piece.is_slice else None)
        for piece in staging.pieces
        if piece.node is not None
    )


def _averages(averages: MovingAverages, staging: Staging) -> Mapping[str, str]:
    """Names of averages by those of their variables. One that the saver does not save is called after its node."""
    names = {piece.node: piece.name for piece in staging.pieces if piece.node is not None}
    if isinstance(averages, Mapping):
        unknown = [
            Problem("moving_averages", f"the saver saves no variable {name!r}", "name variables as the saver does")
            for name in sorted(averages.keys() - set(names.values()))
        ]
        if unknown:
            raise BindingError("there are averages of variables that are not there", problems=unknown)
        return averages
    found = {}
    for variable in staging.stage.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES):
        average = averages.average(variable)
        if average is not None and _node(variable) in names:
            found[names[_node(variable)]] = names.get(_node(average), _node(average))
    if not found:
        raise UsageError("moving_averages has no averages of the saver's variables; call its apply() in training")
    return found


def _node(variable: tf.Variable) -> str:
    return str(variable.op.name)


def _region(piece: StagedPiece) -> Region:
    return Region(piece.name, piece.dtype, piece.full_shape or (), piece.offset, piece.shape or ())
