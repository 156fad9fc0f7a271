"""Waiting that logs who waits for whom, and for how much longer, so that a long wait does not look like a hang."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FIRST_SIGN_SECS = 5.0
NEXT_SIGN_SECS = 30.0

log = logging.getLogger(__name__)


def acquire(lock: threading.Lock, describe: Callable[[], str]) -> None:
    """Wait for a lock without a time limit. Log ``describe()`` after 5 s and then every 30 s."""
    wait_secs = FIRST_SIGN_SECS
    while not lock.acquire(timeout=wait_secs):
        log.warning("%s", describe())
        wait_secs = NEXT_SIGN_SECS


@contextmanager
def turn(lock: threading.Lock, describe: Callable[[], str]) -> Iterator[None]:
    """Hold a lock for the block, as ``with lock:`` does. Waits and logs as :func:`acquire` does."""
    acquire(lock, describe)
    try:
        yield
    finally:
        lock.release()


class Deadline:
    """A time limit. After 5 s and then every 30 s it logs who waits for whom, and the time that is left."""

    def __init__(self, timeout_secs: float, describe: Callable[[], str]) -> None:
        """The time begins now.

        Args:
            timeout_secs: the limit.
            describe: returns who waits for whom, such as ``ps:0 waits for chief:0``.
        """
        self._deadline = time.monotonic() + timeout_secs
        self._next_sign = time.monotonic() + FIRST_SIGN_SECS
        self._describe = describe

    def is_over(self) -> bool:
        """Whether the time has passed. Logs a message when one is due."""
        now = time.monotonic()
        if now >= self._deadline:
            return True
        if now >= self._next_sign:
            log.warning("%s, for %.0f s at most", self._describe(), self._deadline - now)
            self._next_sign = now + NEXT_SIGN_SECS
        return False

    def wait_for(self, condition: threading.Condition, done: Callable[[], bool]) -> bool:
        """Wait until ``done()`` is true, as ``condition.wait_for(done)`` does, and log meanwhile.

        The caller holds the condition. Returns false if the time has passed.
        """
        while not done():
            if self.is_over():
                return False
            condition.wait(min(self._deadline, self._next_sign) - time.monotonic())
        return True
