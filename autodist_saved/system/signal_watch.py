"""Hearing of signals while the main thread is in C++, where no Python handler runs."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

_CLOSED = b"\0"  # no signal has this number


class SignalWatch:
    """A thread that is told the number of every signal with a Python handler, as soon as it comes.

    There is one such place in a process (``signal.set_wakeup_fd``). Whoever had it before hears of them as well.
    """

    def __init__(self, hear: Callable[[int], None]) -> None:
        """Starts the thread. Called in the main thread.

        Args:
            hear: called in that thread with the number.
        """
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._run, args=(hear,), name="signals", daemon=True).start()

    def hears(self) -> bool:
        """Whether nobody has taken its place since. Called in the main thread, by handlers as well."""
        found = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        if found == self._sender.fileno():
            return True
        signal.set_wakeup_fd(found, warn_on_full_buffer=False)
        return False

    def close(self) -> None:
        """End the thread, and give the place back. Called in the main thread."""
        self.leave()
        self._sender.send(_CLOSED)
        self._sender.close()

    def leave(self) -> None:
        """Give the place back. Called in the main thread, or in a forked child, which has the place and no thread."""
        if self.hears():
            signal.set_wakeup_fd(-1)
            with suppress(OSError, ValueError):  # closed meanwhile
                signal.set_wakeup_fd(self._before, warn_on_full_buffer=False)

    def _run(self, hear: Callable[[int], None]) -> None:
        with self._receiver:
            while (numbers := self._receiver.recv(64)) and _CLOSED not in numbers:
                for number in numbers:
                    hear(number)
                if self._before != -1:
                    with suppress(OSError):
                        os.write(self._before, numbers)
