"""What Python prints when a task ends because another one has failed."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from autodist_saved.errors import ChiefLostError, JobFailedError

_OF_OTHERS = (JobFailedError, ChiefLostError)


def print_failures_of_others_in_short() -> None:
    """From now on, have Python print no traceback if nothing catches the failure of another task.

    The traceback would show where this task has learnt of it, which explains nothing. The exit status is 1, as for
    any error. Chief, workers and parameter servers call it when they begin to take part; may be called again.
    """
    if not isinstance(sys.excepthook, _ExceptHook):
        sys.excepthook = _ExceptHook(sys.excepthook)


class _ExceptHook:
    """Takes the place of Python's hook, or of another library's, which prints all other errors."""

    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if isinstance(error, _OF_OTHERS):
            print(f"{kind.__module__}.{kind.__qualname__}: {error}", file=sys.stderr)  # noqa: T201
        else:
            self._before(kind, error, traceback)
