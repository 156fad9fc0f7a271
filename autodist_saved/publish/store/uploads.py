"""Data files that are uploaded to an object store while they are written, and appear there when they are complete."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

# S3 accepts at most 10,000 parts of an object. Parts should be small: some copies of a part are in memory while it is
# sent.
_PARTS = 9_000
_MIB = 2**20
_LEAST_MIB = 8
_MARKERS = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}


class Upload(DataFile):
    """An object that is written from its beginning to its end.

    The written bytes take space in the store, but readers see no object before :meth:`complete`.
    """

    def __init__(self, place: Path, nbytes: int = 0, named: Path | None = None) -> None:
        """Calls the store for nothing yet.

        Args:
            place: of the object.
            nbytes: approximate size of the object, in bytes.
            named: the path that errors name instead of ``place``.
        """
        super().__init__()
        self.path = place
        self._named = named or place
        self._part_bytes = max(_LEAST_MIB, math.ceil(nbytes / _PARTS / _MIB)) * _MIB
        # The way of fsspec's transactions: write and close the file first; later commit or discard it.
        self._file: Any = store_of(place).open(str(place), "wb", autocommit=False, block_size=self._part_bytes)
        self._stop = 0
        self._is_sent = self._is_complete = self._is_aborted = False

    def write(self, data: npt.NDArray[Any], offset: int) -> None:
        if offset != self._stop:
            raise BundleError(
                f"{self.path} must be written in order: byte {self._stop} comes next, and not byte {offset}"
            )
        with storing(self._named):
            # Write parts of equal size: some stores require that, and only one part is in memory at a time.
            while data.nbytes:
                head = self._part_bytes - self._stop % self._part_bytes
                self._stop += self._file.write(data[:head].data)
                data = data[head:]

    def extend(self) -> None:
        """Nothing to do: a store reserves no space."""

    def finish(self) -> None:
        """Nothing to do: :meth:`complete` is called when the model is published."""

    def send(self) -> None:
        """Send the last bytes to the store. May be called again. Raises ``TargetError``."""
        if not self._is_sent:
            with storing(self._named):
                self._file.close()
            self._is_sent = True

    def complete(self) -> None:
        """Make the whole object appear in the store. May be called again. Raises ``TargetError``."""
        self.send()
        if self._is_complete:
            return
        try:
            with storing(self._named):
                self._file.commit()
        except TargetError:
            if not self._is_there():  # if it is, only the store's answer was lost
                raise
        self._is_complete = True

    def _is_there(self) -> bool:
        try:
            with storing(self._named):
                return self.path.stat().st_size == self._stop
        except TargetError:
            return False

    def discard(self) -> None:
        """Nothing to do: :meth:`abort` is called when the model is abandoned."""

    def abort(self) -> None:
        """Make the store drop the upload, if it is not complete. Raises nothing; may be called again."""
        if self._is_complete or self._is_aborted:
            return
        self._is_aborted = True
        self._file.forced = True  # otherwise the file's finalizer would send the rest
        try:
            self._file.discard()
        except Exception as error:  # noqa: BLE001 - the error that has led to abort() is the one to raise
            log.warning("the store cannot drop the upload of %s: %s", self.path, translate(error) or error)


class Uploads:
    """The uploads of all data files of one model."""

    def __init__(self, directory: Path) -> None:
        """``directory`` is that of the variables in the store."""
        self.directory = directory
        self._all: list[Upload] = []

    def open(self, path: Path, nbytes: int) -> Upload:
        """Begin the data file with the name of ``path`` and about ``nbytes`` bytes. Raises ``TargetError``."""
        place = self.directory / path.name
        with storing(place):
            upload = Upload(place, nbytes)
        self._all.append(upload)
        return upload

    def complete(self) -> None:
        """Make all data files appear in the store. May be called again. Raises ``TargetError``."""
        for upload in self._all:
            upload.complete()

    def abort(self) -> None:
        """Make the store drop the uploads that are not complete."""
        for upload in self._all:
            upload.abort()


def hides_uploads(directory: Path) -> bool:
    """Try out, below ``directory``, whether a store hides an upload until it is complete.

    Raises:
        TargetError: nothing can be written there, or the store's library cannot do that.
    """
    probe = hidden_name(directory, "probe")
    with storing(directory), _able(directory):
        upload = Upload(probe, named=directory)
        upload.write(np.zeros(1, np.uint8), 0)
        upload.send()
        is_shown = exists(probe)
        _ = upload._file.commit, upload._file.discard  # what completes and aborts an upload
        upload.abort()
        if is_shown:
            remove_object(probe)
    return not is_shown


@contextmanager
def _able(directory: Path) -> Iterator[None]:
    """Turn what a library raises for a call that it does not have into an error of ours."""
    try:
        yield
    except (AttributeError, NotImplementedError, TypeError) as error:
        raise TargetError(
            f"{directory}: models cannot be written to this kind of store ({type(error).__name__}: {error}); use "
            "one whose library can, such as s3 or gs",
            path=str(directory),
        ) from error


def abort_uploads(place: Path) -> None:
    """Make the store drop incomplete uploads below ``place``, if the store can list them (S3 can).

    Raises errors of the store's library.
    """
    store = store_of(place)
    if not hasattr(store, "list_multipart_uploads"):
        return
    bucket, _, prefix = str(place).partition("://")[2].partition("/")
    page: dict[str, Any] = {"IsTruncated": True}
    while page.get("IsTruncated"):
        after = {to: page[name] for to, name in _MARKERS.items() if page.get(name)}
        page = store.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix}/", **after)
        for upload in page.get("Uploads", ()):
            with suppress(FileNotFoundError):  # its own process has just completed or aborted it
                store.abort_mpu(bucket, upload["Key"], upload["UploadId"])
