"""Data files that go into an object store as they grow, and are not there before they are complete."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autodist_saved.bundle.data_file import DataFile
from autodist_saved.errors import BundleError, TargetError
from autodist_saved.publish.store.objects import remove_object
from autodist_saved.system.error_translation import storing, translate
from autodist_saved.system.paths import exists, hidden_name, store_of

log = logging.getLogger(__name__)

# S3 takes 10,000 parts of an object at most. Of each some copies are in memory while it is sent.
_PARTS = 9_000
_MIB = 2**20
_LEAST_MIB = 8


class Upload(DataFile):
    """An object that grows from its beginning to its end.

    What was written of it takes room in the store, and no reader sees it before :meth:`complete`.
    """

    def __init__(self, place: Path, nbytes: int = 0, named: Path | None = None) -> None:
        """Asks the store for nothing yet.

        Args:
            place: of the object.
            nbytes: about the size that it will have.
            named: what errors name instead of ``place``.
        """
        super().__init__()
        self.path = place
        self._named = named or place
        self._part_bytes = max(_LEAST_MIB, math.ceil(nbytes / _PARTS / _MIB)) * _MIB
        # As transactions of fsspec do it: written, closed, and committed or discarded later.
        self._file: Any = store_of(place).open(str(place), "wb", autocommit=False, block_size=self._part_bytes)
        self._stop = 0
        self._is_sent = self._is_complete = self._is_aborted = False

    def write(self, data: npt.NDArray[Any], offset: int) -> None:
        if offset != self._stop:
            raise BundleError(f"{self.path} grows in order: byte {self._stop} comes next, and not {offset}")
        with storing(self._named):
            # Parts of equal size: some stores want that, and no more than one is held.
            while data.nbytes:
                head = self._part_bytes - self._stop % self._part_bytes
                self._stop += self._file.write(data[:head].data)
                data = data[head:]

    def extend(self) -> None:
        """There is nothing to be done beforehand."""

    def finish(self) -> None:
        """Whoever publishes the model completes it."""

    def send(self) -> None:
        """Have the store take the last bytes. May be called again. Raises ``TargetError``."""
        if not self._is_sent:
            with storing(self._named):
                self._file.close()
            self._is_sent = True

    def complete(self) -> None:
        """Have it in the store, whole. May be called again. Raises ``TargetError``."""
        self.send()
        if self._is_complete:
            return
        try:
            with storing(self._named):
                self._file.commit()
        except TargetError:
            if not self._is_there():  # the answer may be lost, or come too late
                raise
        self._is_complete = True

    def _is_there(self) -> bool:
        try:
            with storing(self._named):
                return self.path.stat().st_size == self._stop
        except TargetError:
            return False

    def discard(self) -> None:
        """Whoever gives the model up aborts it."""

    def abort(self) -> None:
        """Have the store forget it, if it is not complete. Raises nothing; may be called again."""
        if self._is_complete or self._is_aborted:
            return
        self._is_aborted = True
        self._file.forced = True  # or the rest would be sent when the file is collected
        try:
            self._file.discard()
        except Exception as error:  # noqa: BLE001 - whatever it is, what led here is the one to tell
            log.warning("the upload of %s cannot be taken back: %s", self.path, translate(error) or error)


class Uploads:
    """All data files of one model."""

    def __init__(self, directory: Path) -> None:
        """``directory``: of the variables, in the store."""
        self.directory = directory
        self._all: list[Upload] = []

    def open(self, path: Path, nbytes: int) -> Upload:
        """Begin the one that has the name of ``path``, and about so many bytes. Raises ``TargetError``."""
        place = self.directory / path.name
        with storing(place):
            upload = Upload(place, nbytes)
        self._all.append(upload)
        return upload

    def complete(self) -> None:
        """Have all of them in the store. May be called again. Raises ``TargetError``."""
        for upload in self._all:
            upload.complete()

    def abort(self) -> None:
        """Have the store forget those that are not complete."""
        for upload in self._all:
            upload.abort()


def holds_uploads_back(directory: Path) -> bool:
    """Whether a store shows nothing of an object before it is complete, tried out below ``directory``.

    Raises:
        TargetError: nothing can be written there.
    """
    probe = hidden_name(directory, "probe")
    with storing(directory):
        upload = Upload(probe, named=directory)
        upload.write(np.zeros(1, np.uint8), 0)
        upload.send()
        is_shown = exists(probe)
        upload.abort()
        if is_shown:
            remove_object(probe)
    return not is_shown


def abort_uploads(place: Path) -> None:
    """Have the store forget uploads below ``place`` that are not complete, where it can list them.

    Raises what the store's library does.
    """
    store = store_of(place)
    if not hasattr(store, "list_multipart_uploads"):
        return
    bucket, _, prefix = str(place).partition("://")[2].partition("/")
    for upload in store.list_multipart_uploads(bucket):
        if upload["Key"].startswith(f"{prefix}/"):
            store.abort_mpu(bucket, upload["Key"], upload["UploadId"])
