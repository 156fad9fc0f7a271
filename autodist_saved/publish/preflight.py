"""What is tried out before a job trains for days, on whatever kind of base."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from autodist_saved.errors import Problem, TargetError
from autodist_saved.foreign import translated

CLOCK_SECS = 60
"""So far apart two clocks may be."""


def failure(base: Path, attempt: Callable[[], object]) -> Iterator[Problem]:
    """What an attempt to use a base raises, if it does. Messages of ours say what to do after a semicolon."""
    try:
        with translated("preflight"):
            attempt()
    except TargetError as error:
        what, _, fix = error.message.partition("; ")
        yield Problem(error.path or str(base), what, fix or "choose another base directory")
