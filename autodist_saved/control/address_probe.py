"""Whether a process listens at a task's address: the only sign of life of a task that does not talk to the chief."""

from __future__ import annotations

import enum
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterable

from autodist_saved.cluster import Cluster, Task
from autodist_saved.cluster.address import Address

# A host that is cut off answers nothing at all. The one that asks does not wait for it any longer than this.
CONNECT_SECS = 1.0


class ProbeAnswer(enum.Enum):
    """What an attempt to connect to a task's address ends with."""

    LISTENS = "listens"
    REFUSED = "refused"  # the machine is there, and no process of it listens: the task's process has ended
    UNKNOWN_NAME = "unknown name"  # as for a machine that has not been made yet
    SILENT = "silent"  # no answer, or another error: it may be alive


class AddressProbes:
    """Asks addresses in threads of its own, so that a host that does not answer holds nobody up.

    Each trainer listens at its address as long as its process lives: TensorFlow cannot stop a server. It listens too
    while it is stopped, or busy, or cut off from the chief alone.
    """

    def __init__(self, cluster: Cluster, note: Callable[[Task, ProbeAnswer, float], None]) -> None:
        """Asks nobody yet.

        Args:
            cluster: the job.
            note: called with the task, the answer and the moment on the monotonic clock at which it was asked, in a
                thread of its own.
        """
        self._cluster = cluster
        self._note = note
        self._lock = threading.Lock()
        self._under_way: set[Task] = set()

    def ask(self, tasks: Iterable[Task]) -> None:
        """Ask at the addresses of these tasks. Returns at once. No address is asked twice at a time."""
        for task in tasks:
            with self._lock:
                if task in self._under_way:
                    continue
                self._under_way.add(task)
            threading.Thread(target=self._ask, args=(task,), name="probe", daemon=True).start()

    def _ask(self, task: Task) -> None:
        asked_at = time.monotonic()
        try:
            self._note(task, probe(self._cluster.address(task)), asked_at)
        finally:
            # Last, so that the answers of one address are noted in the order in which they were asked for.
            with self._lock:
                self._under_way.discard(task)


def probe(address: str) -> ProbeAnswer:
    """Connect to ``host:port`` and hang up. Takes a second at most, if the name is known."""
    host, port = Address.of(address)
    try:
        with socket.create_connection((host.strip("[]"), port), CONNECT_SECS):
            return ProbeAnswer.LISTENS
    except socket.gaierror as error:
        # Other errors of the resolver mean that it could not find out.
        return ProbeAnswer.UNKNOWN_NAME if error.errno == socket.EAI_NONAME else ProbeAnswer.SILENT
    except OSError as error:
        return ProbeAnswer.REFUSED if error.errno == errno.ECONNREFUSED else ProbeAnswer.SILENT
