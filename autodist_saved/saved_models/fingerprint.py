"""``fingerprint.pb``: TensorFlow's hashes of the graph, the signatures, the objects and the index of variables."""

from __future__ import annotations

from collections.abc import Iterator

from autodist_saved.errors import Problem
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.system.paths import exists
from autodist_saved.tf_internals.start_up_log import start_up_log_hidden


def fingerprint_problems(files: SavedModelFiles, fix: str) -> Iterator[Problem]:
    """Whether ``fingerprint.pb`` is this model's, where there is one.

    TensorFlow is loaded for it: it alone knows how it hashes.
    """
    if not exists(files.fingerprint):
        return
    with start_up_log_hidden():
        from autodist_saved.tf_internals.private_api import fingerprint_fits

    name, contents = files.fingerprint.name, files.fingerprint.read_bytes()
    try:
        if not fingerprint_fits(str(files.root), contents):
            yield Problem(name, "it is the fingerprint of another graph, or of other variables", fix)
    except (OSError, ValueError) as error:
        yield Problem(name, f"it cannot be read ({error})", fix)
