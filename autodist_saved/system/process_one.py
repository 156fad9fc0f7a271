"""SIGTERM for a process that is the first one of its container.

The kernel gives process 1 no signal that has no handler. So ``docker stop`` and Kubernetes would wait for a task that
has none, and kill it at the end of their patience.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

EXIT_STATUS_TERMINATED = 128 + signal.SIGTERM


def heed_sigterm() -> None:
    """If this is process 1, and nothing handles SIGTERM, have it end the process with status 143.

    Every task calls it when it begins to take part. Does nothing outside the main thread, where Python allows no
    handlers.
    """
    if os.getpid() != 1 or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end)


def is_deaf(handler: Any) -> bool:
    """Whether SIGTERM, with this handler, should end the process at once, and the kernel would not."""
    return os.getpid() == 1 and handler in (signal.SIG_DFL, _end)


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
