"""A hidden directory in which a model grows, beside the place where it is to be."""

from __future__ import annotations

import logging
import os
import shutil
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from autodist_saved.publish.disk.file_system import sync, sync_tree
from autodist_saved.publish.draft_target import Draft
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.lock import Lock
from autodist_saved.system.paths import hidden_name, is_hidden_name

log = logging.getLogger(__name__)


class DraftDirectory(Draft):
    """Its name is hidden and never a number, so that no server takes it for a version.

    It is locked as long as its process lives and wants it. :func:`sweep` removes those that nobody has locked.
    """

    def __init__(self, parent: Path, name: str) -> None:
        """Make it. Raises ``OSError``.

        Args:
            parent: an existing directory.
            name: for people who look into ``parent``.
        """
        super().__init__()
        # Between mkdir and flock another export may sweep the directory as a leftover: then there is a next one.
        while True:
            self.root = hidden_name(parent, name)
            self.root.mkdir()
            try:
                lock = Lock(self.root, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            lock.take(wait=True)
            if lock.is_at(self.root):
                break
            lock.close()
        self._lock = lock
        # For the program that ends without a commit and without a crash, but not for children that it has forked.
        self._remover = weakref.finalize(self, _remove, self.root, os.getpid())

    @property
    def files(self) -> SavedModelFiles:
        return SavedModelFiles(self.root)

    def sync(self) -> None:
        sync_tree(self.root)

    def appear_at(self, place: Path, rename: Callable[[Path, Path], None]) -> None:
        """Give it its name; a warning is logged where that is not durable. It is no staging directory any more.

        Args:
            place: in the same parent.
            rename: ``os.rename``, or one that replaces nothing. What it raises goes through.

        Raises ``ExportError`` where it has been given up.
        """
        self.check_wanted()
        rename(self.root, place)
        self._remover.detach()
        self._lock.close()
        try:
            sync(place.parent)
        except OSError as error:
            log.warning(
                "%s is published, but whether it outlives a power failure is not known (%s); look after the disk",
                place,
                error,
            )

    def remove(self) -> None:
        self._remover()
        self._lock.close()


def sweep(parent: Path) -> None:
    """Remove what exports that did not end have left in ``parent``."""
    for leftover in [path for path in parent.glob(".*") if is_hidden_name(path.name)]:
        try:
            lock = Lock(leftover, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue  # it is no directory of ours, another's, or swept by another export at this moment
        try:
            if lock.take():
                log.warning("removing %s, which an export that did not end has left", leftover)
                shutil.rmtree(leftover, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            lock.close()


def _remove(root: Path, process: int) -> None:
    if os.getpid() != process:
        return
    # Where the program ends while a thread of it gives the directory its name, one of the two comes too late.
    with suppress(OSError):
        root = root.rename(hidden_name(root.parent, "removed"))
    shutil.rmtree(root, ignore_errors=True)
