"""Which moving averages a serving graph gets in place of its variables' own values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import Problem
from autodist_saved.sources.staging_ops import StagingOps

MovingAverages: TypeAlias = tf.train.ExponentialMovingAverage | Mapping[str, str]

_PLACE = "moving_averages"


def averages_by_variable(
    averages: MovingAverages | None, staging: StagingOps
) -> tuple[Mapping[str, str], Sequence[Problem]]:
    """Names of averages by the names of their variables, and what is wrong with them.

    An average that the saver does not save has the name of its graph node.

    Args:
        averages: as users give them: TensorFlow's object, or the names themselves.
        staging: of the saver that saves variables and averages.
    """
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
