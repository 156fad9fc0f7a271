"""A model that stands in an object store, object by object: nothing can be renamed there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.system.paths import files_below, store_of


def remove_model(place: Path) -> None:
    """Remove it. What makes loaders take it for one goes first, and the manifest, by which it is known as ours, last.

    Where that first step fails, the model stays whole. Raises what the store's library does.
    """
    files = SavedModelFiles(place)
    order = {**dict.fromkeys(files.graphs, 0), files.manifest: 2}
    for path in sorted(files_below(place).values(), key=lambda path: order.get(path, 1)):
        remove_object(path)


def remove_object(path: Path) -> None:
    """Remove an object, if it is there. Raises what the store's library does, where the store refuses.

    ``UPath.unlink`` removes as if there were many: S3 then tells refusals in an answer that s3fs does not look into.
    """
    with suppress(FileNotFoundError):
        store_of(path).rm_file(str(path))
