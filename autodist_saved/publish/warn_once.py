"""Warnings that a job would repeat with each export, every minute, for days."""

from __future__ import annotations

import logging

from autodist_saved.errors import AutodistSavedError

log = logging.getLogger(__name__)

_told: set[tuple[str, str]] = set()


def warn_once(what: str, error: AutodistSavedError) -> None:
    """Log what cannot be done, and why: as a warning the first time in this process, for debugging when it recurs.

    Args:
        what: names the place, and nothing that differs from one export to the next.
        error: why. Two are the same whose messages are, but for what the system or a store has said.
    """
    cause = what, error.message.partition(" (")[0]
    log.log(logging.DEBUG if cause in _told else logging.WARNING, "%s: %s", what, error)
    _told.add(cause)
