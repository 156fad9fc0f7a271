"""Whose turn it is on a busy machine: training first."""

from __future__ import annotations

import contextlib
import os
import threading

# On Linux a thread has a niceness of its own. It cannot be taken back, so threads that end with an export have it.
NICENESS = 10


def yield_to_training() -> None:
    """From now on the calling thread works with what training leaves of the processor."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
