"""What tells two sets of named things apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Changes:
    """Names that only one of two models has, and names under which they have different things; all sorted."""

    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.only_a or self.only_b or self.changed)

    @classmethod
    def between(cls, a: Mapping[str, Any], b: Mapping[str, Any]) -> Self:
        """Compare what is under each name."""
        return cls(
            tuple(sorted(a.keys() - b.keys())),
            tuple(sorted(b.keys() - a.keys())),
            tuple(sorted(name for name in a.keys() & b.keys() if a[name] != b[name])),
        )
