"""Area under the ROC curve: the chance that a late flight is scored above a punctual one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def auc(late: npt.NDArray[np.int32], score: npt.NDArray[Any]) -> float:
    """The exact area, from ranks (Mann and Whitney); equal scores count one half.

    Five lines in place of scikit-learn, which the demo would install for this function alone.

    Args:
        late: int32 [n], 0 or 1.
        score: float [n], higher means more likely late.

    Raises:
        ValueError: the two differ in length, a score is no number, or ``late`` is not a mix of 0 and 1.
    """
    if late.shape != score.shape or late.ndim != 1:
        raise ValueError(f"late and score must be two vectors of one length, not {late.shape} and {score.shape}")
    if np.isnan(score).any():
        raise ValueError("some scores are NaN: the model has diverged")
    positives = int(np.count_nonzero(late))
    negatives = len(late) - positives
    if not positives or not negatives:
        raise ValueError("the area needs late flights and punctual ones; these are all of one kind")
    _, group, count = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(count) - (count - 1) / 2
    above = mean_rank[group][late == 1].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))
