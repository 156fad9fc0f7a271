"""A draft on a disk: a hidden directory beside the place where the model will appear."""

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
    """A hidden directory with one model. Its name is never a number, so that no server regards it as a version.

    The process locks the directory until the model is published or abandoned. The kernel releases the lock when the
    process ends, so :func:`sweep` removes the directories that nobody has locked.
    """

    def __init__(self, parent: Path, name: str) -> None:
        """Make and lock the directory. Raises ``OSError``.

        Args:
            parent: an existing directory.
            name: becomes part of the hidden name, for people who look into ``parent``.
        """
        super().__init__()
        # Between mkdir and flock, another export may sweep the directory as a leftover. Then make another one.
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
        # Removes the directory if the program ends normally without a commit. In forked children it does nothing.
        self._remover = weakref.finalize(self, _remove, self.root, os.getpid())

    @property
    def files(self) -> SavedModelFiles:
        return SavedModelFiles(self.root)

    def sync(self) -> None:
        sync_tree(self.root)

    def appear_at(self, place: Path, rename: Callable[[Path, Path], None]) -> None:
        """Publish the model: rename the directory, after which it is no draft any more.

        If the disk fails to make the new name durable, a warning is logged.

        Args:
            place: path of the model, in the same parent directory.
            rename: renames the first path to the second one.

        Raises:
            ExportError: the draft was abandoned.
            OSError: ``rename`` has raised it.
        """
        self.check_not_abandoned()
        rename(self.root, place)
        self._remover.detach()
        self._lock.close()
        try:
            sync(place.parent)
        except OSError as error:
            log.warning(
                "%s is published, but a power failure may remove it again (%s); check the disk",
                place,
                error,
            )

    def remove(self) -> None:
        self._remover()
        self._lock.close()


def sweep(parent: Path) -> None:
    """Remove the drafts in ``parent`` whose processes have ended."""
    for leftover in [path for path in parent.glob(".*") if is_hidden_name(path.name)]:
        try:
            lock = Lock(leftover, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue  # not a directory, or one of another user, or another export has just removed it
        try:
            if lock.take():
                log.warning("removing %s, which an unfinished export has left", leftover)
                shutil.rmtree(leftover, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            lock.close()


def _remove(root: Path, process: int) -> None:
    if os.getpid() != process:
        return
    # Rename first: if another thread publishes the directory at the same time, only one of the two renames succeeds.
    with suppress(OSError):
        root = root.rename(hidden_name(root.parent, "removed"))
    shutil.rmtree(root, ignore_errors=True)
