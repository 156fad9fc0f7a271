"""Whether the threads of this process have anything to do."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from autodist_saved.fencing.fence_error import FenceError

# What one thread hands to another one is taken up sooner, on a machine however busy: whoever has work is no sleeper.
_LOOK_SECS = 0.02
_TASKS = Path("/proc/self/task")


def is_at_rest() -> bool:
    """Whether all other threads sleep, and none has run for 20 ms.

    Then nothing is under way in this process but what waits: for a message, for a lock of somebody who waits, or for
    a time. Takes 20 ms, or less if a thread is busy.

    Raises:
        FenceError: the machine does not tell.
    """
    before = _sleepers()
    if before is None:
        return False
    time.sleep(_LOOK_SECS)
    return _sleepers() == before


def _sleepers() -> dict[str, tuple[bytes, ...]] | None:
    """How often each other thread has begun and ceased to run; None if one runs, or could."""
    own = str(threading.get_native_id())
    found = {}
    try:
        tasks = list(_TASKS.iterdir())
    except OSError as error:
        raise FenceError(f"this machine does not tell a process its threads ({error})") from error
    for task in tasks:
        if task.name == own:
            continue
        try:
            lines = (task / "status").read_bytes().splitlines()
        except OSError:
            continue  # it has ended
        if next(line for line in lines if line.startswith(b"State:")).split()[1] != b"S":
            return None
        found[task.name] = tuple(line for line in lines if b"ctxt_switches" in line)
    return found
