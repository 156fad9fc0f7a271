"""The differences between two sets of named things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Changes:
    """The names that differ between two models A and B, sorted.

    Attributes:
        only_a: names that only A has.
        only_b: names that only B has.
        changed: names that both have, for different things.
    """

    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.only_a or self.only_b or self.changed)

    @classmethod
    def between(cls, a: Mapping[str, Any], b: Mapping[str, Any]) -> Self:
        """Compare two mappings from names to things."""
        return cls(
            tuple(sorted(a.keys() - b.keys())),
            tuple(sorted(b.keys() - a.keys())),
            tuple(sorted(name for name in a.keys() & b.keys() if a[name] != b[name])),
        )
