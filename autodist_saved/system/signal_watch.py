"""Notices signals while the main thread is in C++ code, where no Python handler runs."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

_CLOSED = b"\0"  # no signal has this number


class SignalWatch:
    """A thread that gets the number of every signal with a Python handler, as soon as the signal arrives.

    Python writes these numbers to the wakeup file descriptor (``signal.set_wakeup_fd``), of which a process has one.
    The watch passes them on to the descriptor that was set before.
    """

    def __init__(self, on_signal: Callable[[int], None]) -> None:
        """Starts the thread. Called in the main thread.

        Args:
            on_signal: the new thread calls it with the number of each signal.
        """
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._run, args=(on_signal,), name="signals", daemon=True).start()

    def is_installed(self) -> bool:
        """Whether the wakeup file descriptor is still ours, and no other library has replaced it since.

        Called in the main thread, also by signal handlers.
        """
        found = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        if found == self._sender.fileno():
            return True
        signal.set_wakeup_fd(found, warn_on_full_buffer=False)
        return False

    def close(self) -> None:
        """End the thread and restore the previous wakeup file descriptor. Called in the main thread."""
        self.uninstall()
        self._sender.send(_CLOSED)
        self._sender.close()

    def uninstall(self) -> None:
        """Restore the previous wakeup file descriptor.

        Called in the main thread; also in a forked child, which inherits the descriptor but not the thread.
        """
        if self.is_installed():
            signal.set_wakeup_fd(-1)
            with suppress(OSError, ValueError):  # its owner has closed it
                signal.set_wakeup_fd(self._before, warn_on_full_buffer=False)

    def _run(self, on_signal: Callable[[int], None]) -> None:
        with self._receiver:
            while (numbers := self._receiver.recv(64)) and _CLOSED not in numbers:
                for number in numbers:
                    on_signal(number)
                if self._before != -1:
                    with suppress(OSError):
                        os.write(self._before, numbers)
