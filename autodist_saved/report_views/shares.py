"""Parts of a whole, as charts draw them, and what of a long list is shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


def percent(part: float, whole: float) -> float:
    """0 to 100, whatever a manifest that somebody has changed may say."""
    share = part / whole if whole else 0.0
    return round(100 * min(max(share, 0.0), 1.0), 3) if math.isfinite(share) else 0.0


@dataclass(frozen=True)
class Largest(Generic[Item]):
    """The largest of many.

    Attributes:
        shown: the largest first.
        others: how many are not shown.
        others_nbytes: bytes of all these.
    """

    shown: tuple[Item, ...]
    others: int = 0
    others_nbytes: int = 0

    @classmethod
    def of(cls, items: Iterable[Item], nbytes: Callable[[Item], int], most: int) -> Largest[Item]:
        """At most ``most`` items; those of the same size in the order in which they come."""
        ordered = sorted(items, key=nbytes, reverse=True)
        rest = ordered[most:]
        return cls(tuple(ordered[:most]), len(rest), sum(map(nbytes, rest)))
