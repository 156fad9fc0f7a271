"""The lease of a base directory: the right to publish there, which only one process has at a time."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from autodist_saved.errors import LeaseLostError
from autodist_saved.publish.lease_holder import LeaseHolder
from autodist_saved.publish.lock import Lock

log = logging.getLogger(__name__)

_FILE = ".autodist_saved-lease"


class Lease(ABC):
    """A lease. A file in the base directory names the process that holds it."""

    def __init__(self, base: Path, task: str) -> None:
        """Take the lease. Call :meth:`of` instead, which raises the same."""
        self._base = base
        self._path = base / _FILE
        self._task = task
        self._take()

    @classmethod
    def of(cls, base: Path, task: str = "") -> Lease:
        """Take the lease of a base directory for this process.

        All callers in the process share one lease. It ends when no caller refers to it any more.

        Args:
            base: an existing directory, or a place in an object store.
            task: the task that publishes, for messages of other processes.

        Raises:
            LeaseLostError: another process holds the lease.
            OSError: the file cannot be written.
        """
        base = base.resolve()
        with _taking:
            if held := _held.get(base):
                with suppress(LeaseLostError):
                    held.check()
                    return held
            lease = _held[base] = cls(base, task)
            return lease

    @abstractmethod
    def check(self) -> None:
        """Check that this process still holds the lease. Call it right before a commit.

        Raises:
            LeaseLostError: another process holds the lease now; the staged model must not be published.
        """

    @abstractmethod
    def _take(self) -> None:
        """Take the lease."""

    def _named(self) -> LeaseHolder | None:
        """The holder that the file names."""
        return LeaseHolder.read(self._path)

    def _lost(self) -> LeaseLostError:
        holder = self._named() or "its name is not known"
        return LeaseLostError(
            f"another process publishes to {self._base}: {holder}; "
            "end that process first, or publish to another base directory",
            path=str(self._base),
        )


class LockedLease(Lease):
    """A lease on a file system: its holder has locked the file.

    The kernel releases the lock when the process ends, in any way. So a restarted chief can take the lease at once,
    and no time limit is needed. On a file system without locks, the last process that takes the lease holds it, and
    :meth:`check` raises in the process that held it before.

    A forked child does not hold the lease of its parent.
    """

    def check(self) -> None:
        if not self._lock.is_closed and not self._path.exists():
            self._lock.close()
            self._take()  # a person or a program has removed the file, but no other process has taken the lease
        if not self._lock.is_at(self._path) or self._named() != self._holder:
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
                "%s is on a file system without locks: if a second job publishes there, the first one notices it "
                "only when it commits, and fails",
                self._base,
            )
        self._holder = LeaseHolder.after(self._named(), self._task)
        # In this order a reader, also after a crash, finds a complete first line, even if more than that is left.
        os.pwrite(self._lock.descriptor, self._holder.line, 0)
        os.truncate(self._lock.descriptor, len(self._holder.line))
        os.fsync(self._lock.descriptor)

    def _named(self) -> LeaseHolder | None:
        try:
            return super()._named()
        except OSError:
            return None  # the lock decides who holds the lease, and the file only names the holder


class NamedLease(Lease):
    """A lease in an object store, which has no locks.

    The last process that takes the lease holds it, and :meth:`check` raises in the process that held it before.
    """

    def check(self) -> None:
        if not self._path.exists():
            self._take()  # a person or a program has removed the object, but no other process has taken the lease
        elif self._named() != self._holder:
            raise self._lost()

    def _take(self) -> None:
        last = self._named()
        if last is not None and last.may_live:
            log.info("%s: this process takes over from %s, whose next commit will fail", self._base, last)
        self._holder = LeaseHolder.after(last, self._task)
        self._path.write_bytes(self._holder.line)


_held: weakref.WeakValueDictionary[Path, Lease] = weakref.WeakValueDictionary()
_taking = threading.Lock()
os.register_at_fork(before=_taking.acquire, after_in_parent=_taking.release, after_in_child=_taking.release)
