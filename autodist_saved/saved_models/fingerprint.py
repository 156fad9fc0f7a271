"""``fingerprint.pb``: TensorFlow's hashes of the graph, the signatures, the object graph and the variables' index."""

from __future__ import annotations

from collections.abc import Iterator

from autodist_saved.errors import Problem
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.system.paths import exists
from autodist_saved.tf_internals.start_up_log import start_up_log_hidden


def fingerprint_problems(files: SavedModelFiles, fix: str) -> Iterator[Problem]:
    """Check whether ``fingerprint.pb`` belongs to this model, if the file exists.

    This loads TensorFlow, because TensorFlow's hash functions are implemented there only.

    Args:
        files: of the model.
        fix: what to do about a problem.
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
