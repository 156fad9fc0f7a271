"""A lock that the kernel releases when its process ends, in any way."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import weakref
from pathlib import Path

from autodist_saved.system.foreign_files import NotAFileError

# What flock reports on a file system without locks.
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class Lock:
    """An exclusive ``flock`` on an open file or directory.

    A forked child closes its copy of the file at once. Otherwise it would keep the lock after its parent is killed.
    """

    def __init__(self, path: Path, flags: int) -> None:
        """Open the file without locking it. Raises ``OSError``, also if ``path`` is a symbolic link, or a pipe."""
        self.descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        self._closer = weakref.finalize(self, os.close, self.descriptor)
        mode = os.fstat(self.descriptor).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            self.close()
            raise NotAFileError("it is neither a file nor a directory", path)
        _open.add(self)

    @property
    def is_closed(self) -> bool:
        """Whether the file is closed, and so not locked by this object."""
        return not self._closer.alive

    def take(self, *, wait: bool = False) -> bool:
        """Lock the file.

        Returns:
            True if it is locked now; False if the file system has no locks.

        Raises:
            BlockingIOError: another process has locked it, and ``wait`` is false.
        """
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
            return False
        return True

    def is_at(self, path: Path) -> bool:
        """Whether ``path`` is still the file that was opened, and no other file with the same name."""
        try:
            return not self.is_closed and os.path.samestat(path.lstat(), os.fstat(self.descriptor))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Release the lock and close the file. May be called again."""
        self._closer()


_open: weakref.WeakSet[Lock] = weakref.WeakSet()


def _close_all() -> None:
    for lock in list(_open):
        lock.close()


os.register_at_fork(after_in_child=_close_all)
