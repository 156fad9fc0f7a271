"""The ownership of a base directory: the right to publish there, which only one process has at a time."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from autodist_saved.errors import OwnershipLostError
from autodist_saved.publish.lock import Lock
from autodist_saved.publish.owner import Owner

log = logging.getLogger(__name__)

_FILE = ".autodist_saved-owner"


class Ownership(ABC):
    """The right to publish to a base directory. A file there names its owner, the process that has the right."""

    def __init__(self, base: Path, task: str) -> None:
        """Take the ownership. Call :meth:`of` instead, which raises the same."""
        self._base = base
        self._path = base / _FILE
        self._task = task
        self._take()

    @classmethod
    def of(cls, base: Path, task: str = "") -> Ownership:
        """Take the ownership of a base directory for this process.

        All callers in the process share one object. The ownership ends when no caller refers to it any more.

        Args:
            base: an existing directory, or a place in an object store.
            task: the task that publishes, for messages of other processes.

        Raises:
            OwnershipLostError: another process owns the base directory.
            OSError: the file cannot be written.
        """
        base = base.resolve()
        with _taking:
            if owned := _owned.get(base):
                with suppress(OwnershipLostError):
                    owned.check()
                    return owned
            ownership = _owned[base] = cls(base, task)
            return ownership

    @abstractmethod
    def check(self) -> None:
        """Check that this process still owns the base directory. Call it right before a commit.

        Raises:
            OwnershipLostError: another process owns the base directory now; the staged model must not be published.
        """

    @abstractmethod
    def _take(self) -> None:
        """Take the ownership."""

    def _named(self) -> Owner | None:
        """The owner that the file names."""
        return Owner.read(self._path)

    def _lost(self) -> OwnershipLostError:
        owner = self._named() or "its name is not known"
        return OwnershipLostError(
            f"another process publishes to {self._base}: {owner}; "
            "end that process first, or publish to another base directory",
            path=str(self._base),
        )


class LockedOwnership(Ownership):
    """Ownership on a file system: the owner has locked the file.

    The kernel releases the lock when the process ends, in any way. So a restarted chief owns the base at once,
    and no time limit is needed. On a file system without locks, the last process that takes the ownership has it, and
    :meth:`check` raises in the owner before it.

    A forked child does not own what its parent owns.
    """

    def check(self) -> None:
        if not self._lock.is_closed and not self._path.exists():
            self._lock.close()
            self._take()  # a person or a program has removed the file, but no other process owns the base
        if not self._lock.is_at(self._path) or self._named() != self._owner:
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
        self._owner = Owner.after(self._named(), self._task)
        # In this order a reader, also after a crash, finds a complete first line, even if more than that is left.
        os.pwrite(self._lock.descriptor, self._owner.line, 0)
        os.truncate(self._lock.descriptor, len(self._owner.line))
        os.fsync(self._lock.descriptor)

    def _named(self) -> Owner | None:
        try:
            return super()._named()
        except OSError:
            return None  # the lock decides who the owner is, and the file only names it


class NamedOwnership(Ownership):
    """Ownership in an object store, which has no locks.

    The last process that takes the ownership has it, and :meth:`check` raises in the owner before it.
    """

    def check(self) -> None:
        if not self._path.exists():
            self._take()  # a person or a program has removed the object, but no other process owns the base
        elif self._named() != self._owner:
            raise self._lost()

    def _take(self) -> None:
        last = self._named()
        if last is not None and last.may_live:
            log.info("%s: this process takes over from %s, whose next commit will fail", self._base, last)
        self._owner = Owner.after(last, self._task)
        self._path.write_bytes(self._owner.line)


_owned: weakref.WeakValueDictionary[Path, Ownership] = weakref.WeakValueDictionary()
_taking = threading.Lock()
os.register_at_fork(before=_taking.acquire, after_in_parent=_taking.release, after_in_child=_taking.release)
