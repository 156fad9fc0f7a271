"""The right to publish into a base directory, which one process has at a time."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import weakref
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from autodist_saved.errors import LeaseLostError
from autodist_saved.publish.lock import Lock

log = logging.getLogger(__name__)

_FILE = ".autodist_saved-lease"


@dataclass(frozen=True)
class Holder:
    """Who has a lease, as its file tells.

    Attributes:
        epoch: one more than that of the holder before.
        host, pid: of the process.
        task: of the job, such as ``chief:0``; may be empty.
        since: when it was taken, for people: ISO 8601, UTC.
    """

    epoch: int
    host: str
    pid: int
    task: str
    since: str

    def __str__(self) -> str:
        task = f" ({self.task})" if self.task else ""
        return f"process {self.pid} on {self.host}{task}, since {self.since}"


class Lease:
    """A locked file in the base, which names its holder.

    The kernel lets go of the lock when the process ends in whatever way, so that a restarted chief takes the lease at
    once. No clock decides. Where the file system has no locks, the one who comes last has it, and the one before is
    told by :meth:`check`.

    A forked child does not have its parent's lease.
    """

    def __init__(self, base: Path, task: str) -> None:
        """Take it; :func:`take_lease` is what targets call. Raises as that does."""
        self._base = base
        self._path = base / _FILE
        self._task = task
        self._take()

    def check(self) -> None:
        """To be called right before a commit.

        Raises:
            LeaseLostError: somebody else has it now; what was staged is not to become visible.
        """
        if not self._lock.is_closed and not self._path.exists():
            self._lock.close()
            self._take()  # whoever tidied up there has not taken the base
        if not self._lock.is_at(self._path) or self._read() != self._holder:
            self._lock.close()
            raise self._lost()

    def _take(self) -> None:
        while True:
            self._lock = Lock(self._path, os.O_RDWR | os.O_CREAT)
            try:
                is_locked = self._lock.take()
            except BlockingIOError:
                self._lock.close()
                raise self._lost() from None
            if self._lock.is_at(self._path):
                break
            self._lock.close()
        if not is_locked:
            log.warning(
                "%s is on a file system without locks: a second job that publishes there is not kept out, but the "
                "first one is told when it commits",
                self._base,
            )
        last = self._read()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._holder = Holder(last.epoch + 1 if last else 1, socket.gethostname(), os.getpid(), self._task, now)
        # Whoever reads meanwhile, or after a crash, sees one line that is whole and perhaps the rest of a longer one.
        line = json.dumps(asdict(self._holder)).encode() + b"\n"
        os.pwrite(self._lock.descriptor, line, 0)
        os.truncate(self._lock.descriptor, len(line))
        os.fsync(self._lock.descriptor)

    def _read(self) -> Holder | None:
        try:
            return Holder(**json.loads(self._path.read_bytes().split(b"\n")[0]))
        except (OSError, ValueError, TypeError):
            return None

    def _lost(self) -> LeaseLostError:
        return LeaseLostError(
            f"{self._base} is published to by {self._read() or 'a process that has not said who it is'}; end that "
            "one first, or publish to another base directory",
            path=str(self._base),
        )


_held: weakref.WeakValueDictionary[Path, Lease] = weakref.WeakValueDictionary()
_taking = threading.Lock()
os.register_at_fork(before=_taking.acquire, after_in_parent=_taking.release, after_in_child=_taking.release)


def take_lease(base: Path, task: str = "") -> Lease:
    """The lease of a base for this process, the same one for all who ask. It is given back when nobody refers to it.

    Args:
        base: an existing directory.
        task: whose it is, for messages.

    Raises:
        LeaseLostError: another process has it.
        OSError: the file cannot be written.
    """
    base = base.resolve()
    with _taking:
        if held := _held.get(base):
            with suppress(LeaseLostError):
                held.check()
                return held
        lease = _held[base] = Lease(base, task)
        return lease
