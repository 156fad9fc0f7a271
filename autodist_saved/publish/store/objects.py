"""A model that stands in an object store, object by object: nothing can be renamed there."""

from __future__ import annotations

from pathlib import Path

from autodist_saved.paths import files_below
from autodist_saved.publish.files import SavedModelFiles


def remove_model(place: Path) -> None:
    """Remove it. What makes loaders take it for one goes first, and the manifest, by which it is known as ours, last.

    Where that first step fails, the model stays whole. Raises what the store's library does.
    """
    files = SavedModelFiles(place)
    order = {**dict.fromkeys(files.graphs, 0), files.manifest: 2}
    for path in sorted(files_below(place).values(), key=lambda path: order.get(path, 1)):
        path.unlink(missing_ok=True)
