"""A model that grows towards its place in an object store."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np

from autodist_saved.errors import LeaseLostError, Problem, TargetError, TargetExistsError, VerifyError
from autodist_saved.publish.checksums import checksum
from autodist_saved.publish.disk.draft import DraftDirectory, sweep
from autodist_saved.publish.draft_target import Draft
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.store.claim import Claim, claim_of
from autodist_saved.publish.store.objects import remove_model
from autodist_saved.publish.store.uploads import Upload, Uploads
from autodist_saved.publish.warn_once import warn_once
from autodist_saved.system.error_translation import storing
from autodist_saved.system.paths import exists

log = logging.getLogger(__name__)

_CHUNK_BYTES = 2**20


class StoreDraft(Draft):
    """Data files of variables are uploads that nobody sees before they are complete. All else is small, grows in a
    temporary directory, and is copied when it is complete; the graphs last: they make loaders take it for a model.

    Where the store shows what it has of an upload, all grows in the temporary directory.
    """

    def __init__(self, place: Path, task: str, streams: bool, claim: Claim | None = None) -> None:
        """Make it.

        Args:
            place: where the model is to be.
            task: who exports, for messages.
            streams: whether the store holds uploads back.
            claim: of the place; without one, it is claimed when something appears there.

        Raises:
            TargetError: the store cannot be written.
        """
        super().__init__()
        self._place = place
        self._task = task
        self._claim = claim
        directory = Path(tempfile.gettempdir())
        sweep(directory)
        self._local = DraftDirectory(directory, place.name)
        self._uploads = Uploads(SavedModelFiles(place).variables) if streams else None
        self._has_appeared = False

    @property
    def files(self) -> SavedModelFiles:
        return SavedModelFiles(self._local.root, self._uploads)

    def complete(self) -> None:
        """As every staging place's.

        Raises ``TargetError``, ``LeaseLostError``, and ``TargetExistsError`` where something is there.
        """
        if self._claim is None:
            self._claim = self._claimed()
        self._claim.check()
        if self._uploads is not None:
            self._uploads.complete()

    def sync(self) -> None:
        """Have all in the store but the graphs, and read back what was copied.

        Raises ``TargetError``, ``LeaseLostError``, ``VerifyError``.
        """
        self.complete()
        for name, path in self._copied().items():
            if path not in self.files.graphs:
                self._copy(name, path)

    def appear(self) -> Path:
        """Put the graphs beside all the rest, and let go of the claim. Raises as :meth:`sync` does, and
        ``ExportError`` where it has been given up.
        """
        for name, path in self._copied().items():
            if path in self.files.graphs:
                self._copy(name, path)
        self.check_wanted()
        self._has_appeared = True
        self._let_go()
        self._local.remove()
        return self._place

    def remove(self) -> None:
        if self._uploads is not None:
            self._uploads.abort()
        if not self._has_appeared and self._claim is not None:
            try:
                self._claim.check()
                with storing(self._place):
                    remove_model(self._place)
                self._claim.release()
            except LeaseLostError as error:
                log.warning("%s is left as it is: %s", self._place, error)
            except TargetError as error:
                log.warning("%s is left behind, and swept by the next export: %s", self._place, error)
            self._claim.disown()
        self._claim = None
        self._local.remove()

    def _claimed(self) -> Claim:
        try:
            claim = Claim(self._place, self._task)
        except FileExistsError as error:
            raise _taken(
                self._place, f"is being exported to by another process, as {claim_of(self._place)} says"
            ) from error
        with storing(self._place):
            is_free = not exists(self._place)
        if not is_free:
            claim.release()
            raise _taken(self._place, "appeared while it was being exported to")
        return claim

    def _let_go(self) -> None:
        """Whatever comes of it: a claim that stays is swept."""
        if self._claim is not None:
            try:
                self._claim.release()
            except TargetError as error:
                warn_once(f"what exports have left in {self._place.parent} cannot be removed", error)
            self._claim = None

    def _copied(self) -> dict[str, Path]:
        return SavedModelFiles(self._local.root).all()

    def _copy(self, name: str, path: Path) -> None:
        """Copy a file, whole or not at all, and compare what is in the store then."""
        self.check_wanted()
        if self._claim is not None:
            self._claim.check()
        place = self._place / name
        upload = Upload(place, path.stat().st_size)
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    upload.write(np.frombuffer(chunk, np.uint8), file.tell() - len(chunk))
            upload.complete()
        finally:
            upload.abort()  # what is complete stays
        with storing(place):
            if checksum(place) != checksum(path):
                what = Problem(name, "its checksum is not that of what was exported", "export again")
                raise VerifyError(f"{place} does not read back", problems=[what], path=str(place))


def _taken(place: Path, what: str) -> TargetExistsError:
    return TargetExistsError(f"{place} {what}, and is left as it is; export again to another place", path=str(place))
