"""A model that stands in an object store, object by object: nothing can be renamed there."""

from __future__ import annotations

from pathlib import Path

from autodist_saved.publish.files import SavedModelFiles


def remove_model(place: Path) -> None:
    """Remove it. What makes loaders take it for one goes first, and the manifest, by which it is known as ours, last.

    Where that first step fails, the model stays whole. Raises what the store's library does.
    """
    files = SavedModelFiles(place)
    found = [path for path in (place.rglob("*") if place.is_dir() else ()) if path.is_file()]
    graphs = [files.saved_model, files.saved_model_text]
    others = [path for path in found if path not in (*graphs, files.manifest)]
    for path in (*graphs, *others, files.manifest):
        if path in found:
            path.unlink(missing_ok=True)
