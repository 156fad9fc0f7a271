"""TensorFlow's optimizers, and others around them: with which gradients and in which mode a cut can stop them.

``tests/job/test_optimizers.py`` tries out every cell of the table.
"""

from __future__ import annotations

OF_TENSORFLOW = {
    "AdadeltaOptimizer": {"learning_rate": 0.5},
    "AdagradDAOptimizer": {"learning_rate": 0.1},
    "AdagradOptimizer": {"learning_rate": 0.1},
    "AdamOptimizer": {"learning_rate": 0.1},
    "FtrlOptimizer": {"learning_rate": 0.1},
    "GradientDescentOptimizer": {"learning_rate": 0.1},
    "MomentumOptimizer": {"learning_rate": 0.1, "momentum": 0.9},
    "ProximalAdagradOptimizer": {"learning_rate": 0.1},
    "ProximalGradientDescentOptimizer": {"learning_rate": 0.1},
    "RMSPropOptimizer": {"learning_rate": 0.1, "centered": True},
}
"""Every optimizer of ``tf.compat.v1.train``, with arguments. ``SyncReplicasOptimizer`` is the mode ``sync``."""

AROUND_OTHERS = {
    "moving averages": "`tf.train.ExponentialMovingAverage` of the variables; with `sync` as `variable_averages=`",
    "fixed loss scale": "`tf.compat.v1.mixed_precision.MixedPrecisionLossScaleOptimizer` around Adam",
    "dynamic loss scale": "the same, with `DynamicLossScale`",
    "slow weights": "an optimizer whose slow weights follow the others before these change, around Adam",
    "gradient accumulation": "an optimizer that adds gradients up and applies every second sum, around Adam",
}
"""Optimizers around others, as programs and libraries have them, and what they are."""

GRADIENTS = ("dense", "sparse", "partitioned")
MODES = ("async", "sync")

REFUSED: dict[tuple[str, str, str], str] = {}
"""Why a cell is refused at the start, by optimizer, gradients and mode. All others work."""


def page() -> str:
    """One row for each optimizer, one column for each kind of gradients and mode."""
    heads = [f"{gradients}, {mode}" for gradients in GRADIENTS for mode in MODES]
    rows = [_row(f"`{name}`", name) for name in OF_TENSORFLOW]
    rows += [_row(f"{name}: {told}", name) for name, told in AROUND_OTHERS.items()]
    return "\n".join([f"| optimizer | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|", *rows])


def _row(head: str, name: str) -> str:
    cells = [_cell(name, gradients, mode) for gradients in GRADIENTS for mode in MODES]
    return f"| {head} | {' | '.join(cells)} |"


def _cell(name: str, gradients: str, mode: str) -> str:
    why = REFUSED.get((name, gradients, mode))
    return "works" if why is None else f"refused: {why}"
