"""Compares two answers, and allows for the rounding errors of arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Array = npt.NDArray[Any]

# Numbers may differ by this part of the largest number of their row: NARROW for numbers computed in half precision.
WIDE, NARROW = 1e-5, 2e-2
# In a vector each number is a row of its own, but may also differ by this part of the largest number of the vector.
_VECTOR = 1e-6
_NARROW = {tf.float16, tf.bfloat16}


def difference(live: Array, loaded: Array, *, narrow: bool = False) -> str | None:
    """Compare the answers of the job and of the model.

    Dtypes, shapes, and elements that are not floating-point numbers must be equal. A floating-point number may differ
    by a part of the largest number of its row, which is the last axis: the order of summation differs between
    machines, so a sum that is nearly zero has no precision of its own. A vector has one number for each example of a
    batch. Each number is then a row of its own, and may also differ by a millionth of the largest of the vector.

    Args:
        live: the answer of the job.
        loaded: the answer of the loaded model.
        narrow: the job may have computed in the precision of float16, whatever the dtype is. TensorFlow does so with
            float32 on GPUs (TF32).

    Returns:
        the difference as text for people, or None.
    """
    if live.dtype != loaded.dtype or live.shape != loaded.shape:
        return f"it is {loaded.dtype} {list(loaded.shape)}, and in the job {live.dtype} {list(live.shape)}"
    dtype = tf.as_dtype(live.dtype)
    if not dtype.is_floating and not dtype.is_complex:
        differs = np.asarray(live != loaded)
        return _description(live, loaded, differs, "") if differs.any() else None
    wide = np.complex128 if dtype.is_complex else np.float64
    a, b = live.astype(wide), loaded.astype(wide)
    both = np.isfinite(a) & np.isfinite(b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    distance = np.where(both, np.abs(np.where(both, a, 0) - np.where(both, b, 0)), np.where(same, 0, np.inf))
    limit = _limits(np.where(both, np.abs(a), 0), NARROW if narrow or dtype in _NARROW else WIDE)
    excess = distance - limit
    if not (excess > 0).any():
        return None
    worst = np.unravel_index(np.argmax(excess), excess.shape)
    at_most = f"; they differ by {distance[worst]:.3g} there, and rounding explains at most {limit[worst]:.3g}"
    return _description(live, loaded, excess == excess[worst], at_most)


def _limits(sizes: Array, part: float) -> Array:
    """How far each number may differ, from the absolute values. A row of zeros counts as a row of ones."""
    rows = sizes if sizes.ndim < 2 else sizes.max(axis=-1, keepdims=True, initial=0)
    least = _VECTOR * sizes.max(initial=0) if sizes.ndim == 1 else 0.0
    limits = np.maximum(part * rows, least)
    return np.broadcast_to(np.where(limits > 0, limits, part), sizes.shape)


def _description(live: Array, loaded: Array, differs: npt.NDArray[np.bool_], more: str) -> str:
    """The first place at which ``differs`` is true, and both numbers there."""
    place = tuple(int(position) for position in np.argwhere(differs)[0])
    where = f" at {list(place)}" if place else ""
    return f"the job answered {live[place]}{where}, and the loaded model {loaded[place]}{more}"
