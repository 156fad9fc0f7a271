"""Parts of a whole: percentages for charts, and the largest items of a long list."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


def percent(part: float, whole: float) -> float:
    """The percentage of a part. Always from 0 to 100, because a manifest may contain any numbers."""
    share = part / whole if whole else 0.0
    return round(100 * min(max(share, 0.0), 1.0), 3) if math.isfinite(share) else 0.0


@dataclass(frozen=True)
class Largest(Generic[Item]):
    """The largest of many items.

    Attributes:
        shown: the largest items, the largest first.
        others: number of the other items.
        others_nbytes: bytes of all other items.
    """

    shown: tuple[Item, ...]
    others: int = 0
    others_nbytes: int = 0

    @classmethod
    def of(cls, items: Iterable[Item], nbytes: Callable[[Item], int], most: int) -> Largest[Item]:
        """Select at most ``most`` items. Items of the same size keep their order."""
        ordered = sorted(items, key=nbytes, reverse=True)
        rest = ordered[most:]
        return cls(tuple(ordered[:most]), len(rest), sum(map(nbytes, rest)))
