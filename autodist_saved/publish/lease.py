"""The right to publish into a base directory, which one process has at a time."""

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
    """A file in the base that names the process that has it."""

    def __init__(self, base: Path, task: str) -> None:
        """Take it; :meth:`of` is what bases call. Raises as that does."""
        self._base = base
        self._path = base / _FILE
        self._task = task
        self._take()

    @classmethod
    def of(cls, base: Path, task: str = "") -> Lease:
        """The lease of a base for this process, the same one for all who ask. It is given back when nobody refers to
        it.

        Args:
            base: an existing directory, or a place in an object store.
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
            lease = _held[base] = cls(base, task)
            return lease

    @abstractmethod
    def check(self) -> None:
        """To be called right before a commit.

        Raises:
            LeaseLostError: somebody else has it now; what was staged is not to become visible.
        """

    @abstractmethod
    def _take(self) -> None:
        """Have it from now on."""

    def _named(self) -> LeaseHolder | None:
        """Who has it, as the file says."""
        return LeaseHolder.read(self._path)

    def _lost(self) -> LeaseLostError:
        holder = self._named() or "a process that has not said who it is"
        return LeaseLostError(
            f"{self._base} is published to by {holder}; end that one first, or publish to another base directory",
            path=str(self._base),
        )


class LockedLease(Lease):
    """A locked file in the base, which names its holder.

    The kernel lets go of the lock when the process ends in whatever way, so that a restarted chief takes the lease at
    once. No clock decides. Where the file system has no locks, the one who comes last has it, and the one before is
    told by :meth:`check`.

    A forked child does not have its parent's lease.
    """

    def check(self) -> None:
        if not self._lock.is_closed and not self._path.exists():
            self._lock.close()
            self._take()  # whoever tidied up there has not taken the base
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
                "%s is on a file system without locks: a second job that publishes there is not kept out, but the "
                "first one is told when it commits",
                self._base,
            )
        self._holder = LeaseHolder.after(self._named(), self._task)
        # Whoever reads meanwhile, or after a crash, sees one line that is whole and perhaps the rest of a longer one.
        os.pwrite(self._lock.descriptor, self._holder.line, 0)
        os.truncate(self._lock.descriptor, len(self._holder.line))
        os.fsync(self._lock.descriptor)

    def _named(self) -> LeaseHolder | None:
        try:
            return super()._named()
        except OSError:
            return None  # the lock decides, and not what can be read


class NamedLease(Lease):
    """An object in a store, which has no locks: the one who comes last has it, and the one before is told by
    :meth:`check`.
    """

    def check(self) -> None:
        if not self._path.exists():
            self._take()  # whoever tidied up there has not taken the base
        elif self._named() != self._holder:
            raise self._lost()

    def _take(self) -> None:
        last = self._named()
        if last is not None and last.may_live:
            log.info("%s was published to by %s, which is told if it commits another model", self._base, last)
        self._holder = LeaseHolder.after(last, self._task)
        self._path.write_bytes(self._holder.line)


_held: weakref.WeakValueDictionary[Path, Lease] = weakref.WeakValueDictionary()
_taking = threading.Lock()
os.register_at_fork(before=_taking.acquire, after_in_parent=_taking.release, after_in_child=_taking.release)
