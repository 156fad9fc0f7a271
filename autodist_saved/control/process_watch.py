"""Tells when processes of this machine have ended, as its kernel says."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

from autodist_saved.control.process_identity import ProcessIdentity, start_time


class ProcessWatch:
    """Watches processes from when they were certainly alive, so that no other process is taken for one of them.

    A copy of a virtual machine shares boot and namespaces with its original, and there a pid may be missing, or be
    that of another program. So nothing is believed of a process that was not seen here alive, with the same start.

    A process that is stopped has not ended. One whose threads have all ended has, though its parent may not have
    asked for its status yet. Any thread may use it.
    """

    def __init__(self) -> None:
        """Watches nobody, and has no thread yet."""
        self._here = ProcessIdentity.of_this_process().machine
        self._lock = threading.Lock()
        self._epoll: select.epoll | None = None
        self._calls: dict[int, Callable[[], None]] = {}

    def add(self, process: ProcessIdentity, on_end: Callable[[], None]) -> bool:
        """Watch a process from now on.

        Args:
            process: as it has said itself.
            on_end: called once, in the thread of the watch, when the process has ended.

        Returns:
            False where this kernel does not know it, or cannot tell. Nothing is called then.
        """
        if not self._here or process.machine != self._here:
            return False
        try:
            descriptor = os.pidfd_open(process.pid)
        except OSError:
            return False
        # After the descriptor was made: it is that of the process that has the pid now, or of one before it, which
        # has ended. None can have had it since, for this one says that it was there before it was asked about.
        if start_time(process.pid) != process.started or _has_ended(descriptor):
            os.close(descriptor)
            return False
        with self._lock:
            self._calls[descriptor] = on_end
            if self._epoll is None:
                self._epoll = select.epoll()
                threading.Thread(target=self._watch, args=(self._epoll,), name="processes", daemon=True).start()
            self._epoll.register(descriptor, select.EPOLLIN)
        return True

    def _watch(self, epoll: select.epoll) -> None:
        while True:
            for descriptor, _ in epoll.poll():
                with self._lock:
                    epoll.unregister(descriptor)
                    on_end = self._calls.pop(descriptor)
                os.close(descriptor)
                on_end()


def _has_ended(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
