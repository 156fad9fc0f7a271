"""The priority of threads on a busy machine: training goes first."""

from __future__ import annotations

import contextlib
import os
import threading

# Linux has a niceness for each thread. A process without privileges cannot lower it again, so only threads that end
# with the export raise it.
NICENESS = 10


def yield_to_training() -> None:
    """Raise the niceness of the calling thread for good: it runs when training does not need the processor."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
