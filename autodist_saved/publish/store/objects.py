"""Removes a model from an object store, object by object: a store has no directories that could be renamed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.system.foreign_files import files_in
from autodist_saved.system.paths import store_of


def remove_model(place: Path) -> None:
    """Remove a model from a store.

    The graphs go first: without them loaders find no model; and if they cannot be removed, the model stays whole. The
    manifest goes last: as long as it exists, the rest is known as ours. Raises errors of the store's library.
    """
    files = SavedModelFiles(place)
    order = {**dict.fromkeys(files.graphs, 0), files.manifest: 2}
    for path in sorted(files_in(place).values(), key=lambda path: order.get(path, 1)):
        remove_object(path)


def remove_object(path: Path) -> None:
    """Remove an object, if it exists. Raises errors of the store's library, also if the store refuses.

    ``UPath.unlink`` would use the call that removes many objects. S3 reports refusals in its answer to that call, and
    s3fs does not read them there.
    """
    with suppress(FileNotFoundError):
        store_of(path).rm_file(str(path))
