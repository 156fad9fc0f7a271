"""What is to be seen where models are published."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf


def step_of(model: Path) -> int:
    """The global step among its variables."""
    return int(tf.train.load_variable(str(model / "variables" / "variables"), "global_step"))


def leftovers(base: Path) -> list[Path]:
    """What exports that did not end well have left there."""
    return [path for path in base.glob(".*") if path.is_dir()]
