"""Signals as events that a selector can wait for."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end tasks."""
FOR_THE_CHIEF = signal.SIGUSR1
"""The signal that asks for an export."""


@contextlib.contextmanager
def signal_numbers() -> Iterator[socket.socket]:
    """A socket that yields the number of every signal that arrives, one byte each: PASSED_ON, FOR_THE_CHIEF, SIGCHLD.

    :func:`~autodist_saved.launch.launch` enters it, in the main thread. On leaving, the handlers are as before.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    # Under nohup a job goes on when its terminal closes.
    handled = [
        signum
        for signum in (*PASSED_ON, FOR_THE_CHIEF, signal.SIGCHLD)
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN
    ]
    with receiver, sender, contextlib.ExitStack() as restored:
        wakeup = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        restored.callback(signal.set_wakeup_fd, wakeup)
        for signum in handled:
            restored.callback(signal.signal, signum, signal.signal(signum, lambda *_: None))
        yield receiver
