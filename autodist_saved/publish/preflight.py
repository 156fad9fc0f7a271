"""What is tried out before a job trains for days, on whatever kind of base."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from autodist_saved.errors import Problem, TargetError
from autodist_saved.system.error_translation import translated

CLOCK_SECS = 60
"""So far apart two clocks may be."""


def failure(base: Path, attempt: Callable[[], object]) -> Iterator[Problem]:
    """What an attempt to use a base raises, if it does."""
    try:
        with translated("preflight"):
            attempt()
    except TargetError as error:
        yield Problem.of(error, error.path or str(base))
