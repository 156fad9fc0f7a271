"""Whose turn it is with the copies in a saver's graph: there is one copy of each piece."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from autodist_saved.errors import ExportError
from autodist_saved.system import deadline

log = logging.getLogger(__name__)


class Turn:
    """Lets one export or checkpoint of a saver after the other use its copies. Any thread may call it.

    Whoever waits waits as long as the other one advances. One that does not, because its disk is frozen for instance,
    loses its turn. It may go on, but must not use the copies any more.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._hold: Hold | None = None

    @property
    def is_taken(self) -> bool:
        """Whether an export or checkpoint has it."""
        return self._hold is not None

    def take_now(self) -> Hold | None:
        """Take it; None if another one has it."""
        with self._changed:
            return self._take() if self._hold is None else None

    def take(self, patience_secs: float) -> Hold:
        """Wait until it is free, or the other one has not advanced for ``patience_secs``; then take it.

        Logs a message after 5 s of waiting, and then every 30 s.
        """
        next_sign = time.monotonic() + deadline.FIRST_SIGN_SECS
        with self._changed:
            while (hold := self._hold) is not None:
                now = time.monotonic()
                stalls_at = hold.advanced_at + patience_secs
                if now >= stalls_at and not hold.is_copying:
                    hold.is_lost = True
                    log.warning(
                        "an export or checkpoint has not advanced for %g s; perhaps its disk hangs. Another "
                        "one of the same saver goes on without it",
                        patience_secs,
                    )
                    break
                if now >= next_sign:
                    log.warning("an export waits until another one of the same saver is over")
                    next_sign = now + deadline.NEXT_SIGN_SECS
                self._changed.wait(min(next_sign, max(stalls_at, now + 0.1)) - now)
            return self._take()

    def _take(self) -> Hold:
        """The caller holds the lock."""
        self._hold = Hold(self, self._changed)
        return self._hold

    def _give_back(self, hold: Hold) -> None:
        with self._changed:
            if self._hold is hold:
                self._hold = None
                self._changed.notify_all()


class Hold:
    """One export's turn, from :meth:`Turn.take` to :meth:`give_back`.

    Attributes:
        is_lost: whether another one has taken the turn meanwhile.
        is_copying: whether it is within :meth:`copying`.
        advanced_at: when it advanced last, on the monotonic clock.
    """

    def __init__(self, turn: Turn, changed: threading.Condition) -> None:
        self.is_lost = False
        self.is_copying = False
        self.advanced_at = time.monotonic()
        self._turn = turn
        self._changed = changed

    def advance(self) -> None:
        """Note that something has moved. Called often; any thread may call it."""
        self.advanced_at = time.monotonic()

    def check(self) -> None:
        """Raise ``ExportError`` if the turn is lost: the copies are another one's. Called after each read of them."""
        if self.is_lost:
            raise ExportError(
                "another export or checkpoint of this saver has taken the copies of this one, which had not advanced "
                "for a while; look at the disk that it writes to, then export again"
            )

    @contextmanager
    def copying(self) -> Iterator[None]:
        """The block makes or frees copies. Nobody takes the turn meanwhile. Raises as :meth:`check` does."""
        with self._changed:
            self.check()
            self.is_copying = True
        try:
            yield
        finally:
            with self._changed:
                self.is_copying = False
                self.advance()

    def give_back(self) -> None:
        """The export is over. May be called again."""
        self._turn._give_back(self)
