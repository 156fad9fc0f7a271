"""Whether two answers are the same, as far as arithmetic goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Array = npt.NDArray[Any]

WIDE, NARROW = 1e-5, 2e-2
_VECTOR = 1e-6
_NARROW = {tf.float16, tf.bfloat16}


def difference(live: Array, loaded: Array, *, narrow: bool = False) -> str | None:
    """What tells two answers apart, in words; None where they are the same.

    Types and shapes are to be equal, and whatever is not a floating-point number. Those may differ by a part of the
    largest of their row, which is the last axis: order of summation is up to the machine, so what nearly cancels out
    has no precision of its own. A vector is one number for each example of a batch: each is a row, but for a
    millionth of the largest.

    Args:
        live: what the job answered.
        loaded: what the model did, once loaded.
        narrow: the job may have computed with the precision of float16 whatever the type is, as TensorFlow does with
            float32 on GPUs (TF32).
    """
    if live.dtype != loaded.dtype or live.shape != loaded.shape:
        return f"it is {loaded.dtype} {list(loaded.shape)}, and in the job {live.dtype} {list(live.shape)}"
    dtype = tf.as_dtype(live.dtype)
    if not dtype.is_floating and not dtype.is_complex:
        differs = np.asarray(live != loaded)
        return _told(live, loaded, differs, "") if differs.any() else None
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
    at_most = f"; the largest difference is {distance[worst]:.3g}, and {limit[worst]:.3g} is what arithmetic explains"
    return _told(live, loaded, excess == excess[worst], at_most)


def _limits(sizes: Array, part: float) -> Array:
    """How far each number may be off, of the absolute values; a row of zeros counts as one of ones."""
    rows = sizes if sizes.ndim < 2 else sizes.max(axis=-1, keepdims=True, initial=0)
    least = _VECTOR * sizes.max(initial=0) if sizes.ndim == 1 else 0.0
    limits = np.maximum(part * rows, least)
    return np.broadcast_to(np.where(limits > 0, limits, part), sizes.shape)


def _told(live: Array, loaded: Array, differs: npt.NDArray[np.bool_], more: str) -> str:
    """Where two arrays differ most, and how."""
    place = tuple(int(position) for position in np.argwhere(differs)[0])
    where = f" at {list(place)}" if place else ""
    return f"the job answered {live[place]}{where}, and the loaded model {loaded[place]}{more}"
