"""A claim: the right to write to one place of an object store, in which objects cannot be locked or renamed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

from autodist_saved.errors import OwnershipLostError, TargetError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.owner import Owner
from autodist_saved.publish.store.objects import remove_model, remove_object
from autodist_saved.publish.store.uploads import abort_uploads
from autodist_saved.system.error_translation import storing
from autodist_saved.system.paths import modified, store_of

log = logging.getLogger(__name__)

_MARK = ".autodist_saved-claim-"
_held: set[Owner] = set()
"""The claims with which this process writes."""

_DAY_SECS = 24 * 60 * 60


class Claim:
    """A hidden object beside the place, which names the process that writes there.

    The store creates the object only if it does not exist, so only one of two processes gets the claim. The commit
    removes it. A claim that is left shows where a crashed export has written; see :func:`sweep`.
    """

    def __init__(self, place: Path, task: str) -> None:
        """Claim a place.

        Args:
            place: the place of a model.
            task: the task that exports, for messages of other processes.

        Raises:
            FileExistsError: the place is claimed already.
            OwnershipLostError: another process has claimed it at the same time, and the store does not support
                creating an object only if it does not exist.
            TargetError: the store refuses to create the object.
        """
        self._path = claim_of(place)
        self._owner = Owner.after(None, task)
        _held.add(self._owner)
        try:
            with storing(self._path):
                store_of(self._path).pipe_file(str(self._path), self._owner.line, mode="create")
                self.check()  # some stores ignore the mode, and let a second process replace the object
        except BaseException:
            self.disown()
            raise

    def check(self) -> None:
        """Check that the claim still is this process's. Call it right before each change at the place.

        Raises:
            OwnershipLostError: another process has removed or replaced the claim, because it was older than a day.
            TargetError: the store does not answer.
        """
        with storing(self._path):
            owner = Owner.read(self._path)
        if owner != self._owner:
            raise OwnershipLostError(
                f"{self._path} no longer names this process, but {owner or 'nobody'}; export again",
                path=str(self._path),
            )

    def release(self) -> None:
        """Give the claim back. Raises as :meth:`check` does, and then does not remove the other process's claim."""
        self.disown()
        self.check()
        with storing(self._path):
            remove_object(self._path)

    def disown(self) -> None:
        """Stop using the claim without removing it. :func:`sweep` may then remove it, and what is at the place."""
        _held.discard(self._owner)


def check_exclusive(probe: Path) -> None:
    """Check that the store creates an object only if there is none. Otherwise two processes could claim a place.

    Args:
        probe: an object that exists.

    Raises:
        TargetError: the store has replaced it, or its library cannot ask for that.
    """
    what = "it replaces an object that was to be created only if there was none"
    with storing(probe.parent):
        try:
            store_of(probe).pipe_file(str(probe), b"", mode="create")
        except FileExistsError:
            return
        except (NotImplementedError, TypeError, ValueError) as error:
            what = f"its library cannot create an object only if there is none ({error})"
    raise TargetError(
        f"{probe.parent}: two processes could publish the same version in this store, because {what}; use one "
        "that can, such as S3 or Google Cloud Storage",
        path=str(probe.parent),
    )


def claim_of(place: Path) -> Path:
    """The object that names the process that has claimed a place."""
    return place.with_name(f"{_MARK}{place.name}")


def claims_in(base: Path) -> Iterator[Path]:
    """The claimed places in ``base``. Raises errors of the store's library."""
    for path in base.iterdir():
        if path.name.startswith(_MARK):
            yield path.with_name(path.name.removeprefix(_MARK))


def is_left(place: Path) -> bool:
    """Whether the claim of a place is left over: its process on this machine has ended, or it is older than a day.

    Nothing is known about processes of other machines, so their claims are left over only after a day.
    """
    path = claim_of(place)
    try:
        owner, date = Owner.read(path), modified(path)
    except FileNotFoundError:
        return False
    is_old = date is not None and time.time() - date > _DAY_SECS
    return is_old or (owner is not None and owner not in _held and not owner.may_live)


def sweep(place: Path) -> None:
    """Remove what an unfinished export has left at a place, if its claim is left over. A whole model stays.

    Raises ``TargetError``.
    """
    with storing(place):
        if not is_left(place):
            return
        if not SavedModelFiles(place).is_model:
            log.warning("removing %s, which an unfinished export has left", place)
            remove_model(place)
        abort_uploads(place)
        remove_object(claim_of(place))
