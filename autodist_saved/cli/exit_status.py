"""The exit status of a command, from the class of its error."""

from __future__ import annotations

from autodist_saved.errors import (
    AutodistSavedError,
    BundleError,
    ConfigError,
    ExportError,
    JobError,
    ModelError,
    OtherModelError,
    TargetError,
    UnreadableError,
    UsageError,
)

_EXIT_STATUS: dict[type[AutodistSavedError], int] = {
    UsageError: 2,
    ConfigError: 2,
    TargetError: 3,
    UnreadableError: 3,
    JobError: 4,
    ExportError: 5,
    OtherModelError: 7,
    BundleError: 6,
    ModelError: 6,
}


def exit_status(error: AutodistSavedError) -> int:
    """The status for an error: that of the first class in the table of which it is an instance, else 1."""
    return next((status for kind, status in _EXIT_STATUS.items() if isinstance(error, kind)), 1)
