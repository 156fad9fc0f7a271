"""Checks of a base directory of any kind, before a job trains for days."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from autodist_saved.errors import Problem, TargetError
from autodist_saved.system.error_translation import translated

CLOCK_SECS = 60
"""The most seconds by which two clocks may differ."""


def failure(base: Path, attempt: Callable[[], object]) -> Iterator[Problem]:
    """Try to use a base directory. If ``attempt`` raises a ``TargetError``, yield it as a problem."""
    try:
        with translated("preflight"):
            attempt()
    except TargetError as error:
        yield Problem.of(error, error.path or str(base))
