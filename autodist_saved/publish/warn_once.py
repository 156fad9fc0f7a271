"""Logs a warning once that a job would otherwise repeat with each export, every minute for days."""

from __future__ import annotations

import logging

from autodist_saved.errors import AutodistSavedError

log = logging.getLogger(__name__)

_logged: set[tuple[str, str]] = set()


def warn_once(what: str, error: AutodistSavedError) -> None:
    """Log a failure: as a warning the first time in this process, and at level DEBUG when it happens again.

    Args:
        what: what has failed, and where. It must not contain anything that differs from one export to the next.
        error: the cause. Two errors count as the same if their messages are equal up to the first parenthesis, in
            which the message of the system or the store follows.
    """
    cause = what, error.message.partition(" (")[0]
    log.log(logging.DEBUG if cause in _logged else logging.WARNING, "%s: %s", what, error)
    _logged.add(cause)
