"""What the log says of those who were turned away, however many they are."""

from __future__ import annotations

import logging
import threading
import time

LINES_MAX = 10
PERIOD_SECS = 10.0

log = logging.getLogger(__name__)


class RejectionLog:
    """Logs at most :data:`LINES_MAX` lines in :data:`PERIOD_SECS`, and counts the rest. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._period_ends = 0.0
        self._lines = 0
        self._untold = 0

    def note(self, peer: str, reason: str) -> None:
        """Somebody was turned away. ``peer`` is such as ``ipv4:10.0.0.7:4711``."""
        with self._lock:
            now = time.monotonic()
            if now >= self._period_ends:
                self._period_ends, self._lines = now + PERIOD_SECS, 0
            self._lines += 1
            if self._lines > LINES_MAX:
                self._untold += 1
                return
            untold, self._untold = self._untold, 0
        more = f"; {untold} more before, not named here" if untold else ""
        log.warning("turned away %s: %s%s", peer or "somebody who is gone", reason, more)
