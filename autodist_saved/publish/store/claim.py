"""The right to write at one place of an object store, where nothing can be locked or renamed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

from autodist_saved.errors import LeaseLostError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.lease_holder import LeaseHolder
from autodist_saved.publish.store.objects import remove_model, remove_object
from autodist_saved.publish.store.uploads import abort_uploads
from autodist_saved.system.error_translation import storing
from autodist_saved.system.paths import modified, store_of

log = logging.getLogger(__name__)

_MARK = ".autodist_saved-claim-"
_held: set[LeaseHolder] = set()
"""What this process writes at."""

_DAY_SECS = 24 * 60 * 60


class Claim:
    """A hidden object beside the place, which names the process that writes there.

    It is made under the condition that it is not there, so one of two processes gets it. It goes with the commit;
    what crashed exports have left is known by it. See :func:`sweep`.
    """

    def __init__(self, place: Path, task: str) -> None:
        """Claim the place.

        Raises:
            FileExistsError: it is claimed already.
            TargetError: the store refuses it.
        """
        self._path = claim_of(place)
        self._holder = LeaseHolder.after(None, task)
        _held.add(self._holder)
        try:
            with storing(self._path):
                store_of(self._path).pipe_file(str(self._path), self._holder.line, mode="create")
                self.check()  # a store may not know the condition
        except BaseException:
            self.disown()
            raise

    def check(self) -> None:
        """To be called right before anything is written to the place, or removed from it.

        Raises:
            LeaseLostError: the place has been taken away, because it was written to for too long.
            TargetError: the store does not answer.
        """
        with storing(self._path):
            holder = LeaseHolder.read(self._path)
        if holder != self._holder:
            raise LeaseLostError(
                f"{self._path} does not name this process any more, but {holder or 'nobody'}; export again",
                path=str(self._path),
            )

    def release(self) -> None:
        """Let go of it. Raises as :meth:`check` does: what is another's stays."""
        self.disown()
        self.check()
        with storing(self._path):
            remove_object(self._path)

    def disown(self) -> None:
        """Nothing is written there any more by who has it; what is left, :func:`sweep` removes."""
        _held.discard(self._holder)


def claim_of(place: Path) -> Path:
    """Where it is told whose a place is."""
    return place.with_name(f"{_MARK}{place.name}")


def claims_in(base: Path) -> Iterator[Path]:
    """The places below ``base`` that are claimed. Raises what the store's library does."""
    for path in base.iterdir():
        if path.name.startswith(_MARK):
            yield path.with_name(path.name.removeprefix(_MARK))


def is_left(place: Path) -> bool:
    """Whether a place is claimed by a process of this machine that has ended, or for more than a day."""
    path = claim_of(place)
    try:
        holder, date = LeaseHolder.read(path), modified(path)
    except FileNotFoundError:
        return False
    is_old = date is not None and time.time() - date > _DAY_SECS
    return is_old or (holder is not None and holder not in _held and not holder.may_live)


def sweep(place: Path) -> None:
    """Remove what an export that did not end has left at a place, if it is claimed by one.

    A model that is whole stays. Raises ``TargetError``.
    """
    with storing(place):
        if not is_left(place):
            return
        if not SavedModelFiles(place).is_model:
            log.warning("removing %s, which an export that did not end has left", place)
            remove_model(place)
        abort_uploads(place)
        remove_object(claim_of(place))
