"""The draft of a model that will be in an object store."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np

from autodist_saved.errors import OwnershipLostError, Problem, TargetError, TargetExistsError, VerifyError
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
    """A draft whose parts are in two places.

    Data files of variables are uploads, which readers do not see before they are complete. All other files are small:
    they are written to a temporary directory, and copied to the store at the end. The graphs are copied last, because
    loaders regard the directory as a model as soon as it has graphs.

    If the store shows incomplete uploads, all files are written to the temporary directory.
    """

    def __init__(self, place: Path, task: str, streams: bool, claim: Claim | None = None) -> None:
        """Make the temporary directory, and claim nothing.

        Args:
            place: where the model will appear.
            task: the task that exports, for messages.
            streams: whether data files can be uploads, because the store hides them until they are complete.
            claim: the claim of the place. Without it, the place is claimed before the first object appears there.

        Raises:
            OSError: the temporary directory cannot be written.
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
        """See :meth:`Draft.complete`.

        Raises:
            TargetError: the store refuses the call or does not answer.
            OwnershipLostError: another process has taken the claim.
            TargetExistsError: the place is not free.
        """
        if self._claim is None:
            self._claim = self._claimed()
        self._claim.check()
        if self._uploads is not None:
            self._uploads.complete()

    def sync(self) -> None:
        """Copy all files but the graphs to the store, and read the copies back.

        Raises:
            VerifyError: a copy differs from its file.
            TargetError, OwnershipLostError, TargetExistsError: as :meth:`complete`.
        """
        self.complete()
        for name, path in self._copied().items():
            if path not in self.files.graphs:
                self._copy(name, path)

    def appear(self) -> Path:
        """Publish the model: copy its graphs to the store, and give the claim back.

        Raises as :meth:`sync` does, and ``ExportError`` if the draft was abandoned.
        """
        for name, path in self._copied().items():
            if path in self.files.graphs:
                self._copy(name, path)
        self.check_not_abandoned()
        self._has_appeared = True
        self._release_claim()
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
            except OwnershipLostError as error:
                log.warning("%s stays as it is: %s", self._place, error)
            except TargetError as error:
                log.warning("%s cannot be removed now; the next export will remove it: %s", self._place, error)
            self._claim.disown()
        self._claim = None
        self._local.remove()

    def _claimed(self) -> Claim:
        try:
            claim = Claim(self._place, self._task)
        except FileExistsError as error:
            raise _not_free(self._place, f"is claimed by another export; {claim_of(self._place)} names it") from error
        with storing(self._place):
            is_free = not exists(self._place)
        if not is_free:
            claim.release()
            raise _not_free(self._place, "appeared during the export")
        return claim

    def _release_claim(self) -> None:
        """Give the claim back. A failure does not matter: the next export sweeps the claim."""
        if self._claim is not None:
            try:
                self._claim.release()
            except TargetError as error:
                warn_once(f"remains of exports in {self._place.parent} cannot be removed", error)
            self._claim = None

    def _copied(self) -> dict[str, Path]:
        return SavedModelFiles(self._local.root).all()

    def _copy(self, name: str, path: Path) -> None:
        """Copy a file to the store, whole or not at all, and read it back."""
        self.check_not_abandoned()
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
            upload.abort()  # does nothing if the upload is complete
        with storing(place):
            if checksum(place) != checksum(path):
                what = Problem(name, "its checksum differs from that of the exported file", "export again")
                raise VerifyError(f"{place} differs from the exported file", problems=[what], path=str(place))


def _not_free(place: Path, what: str) -> TargetExistsError:
    return TargetExistsError(f"{place} {what}, and stays as it is; export again to another place", path=str(place))
