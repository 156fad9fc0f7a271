"""A lock that the kernel lets go of when its process ends, whatever way."""

from __future__ import annotations

import errno
import fcntl
import os
import weakref
from pathlib import Path

_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class Lock:
    """``flock`` on an open file or directory.

    A forked child closes its copy at once. It would otherwise keep the lock when its parent is killed.
    """

    def __init__(self, path: Path, flags: int) -> None:
        """Open the file, and lock nothing yet. Raises ``OSError``; a link at ``path`` is not followed."""
        self.descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o666)
        self._closer = weakref.finalize(self, os.close, self.descriptor)
        _open.add(self)

    @property
    def is_closed(self) -> bool:
        """Whether it holds nothing any more."""
        return not self._closer.alive

    def take(self, *, wait: bool = False) -> bool:
        """Lock the file.

        Returns:
            whether it is locked now; False where the file system has no locks.

        Raises:
            BlockingIOError: another one has it, and ``wait`` is not set.
        """
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
            return False
        return True

    def is_at(self, path: Path) -> bool:
        """Whether ``path`` still is the file that was opened."""
        try:
            return not self.is_closed and os.path.samestat(path.lstat(), os.fstat(self.descriptor))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let go of the lock and of the file. May be called again."""
        self._closer()


_open: weakref.WeakSet[Lock] = weakref.WeakSet()


def _close_all() -> None:
    for lock in list(_open):
        lock.close()


os.register_at_fork(after_in_child=_close_all)
