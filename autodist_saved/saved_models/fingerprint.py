"""``fingerprint.pb``: TensorFlow's hashes of the graph, the signatures, the object graph and the variables' index."""

from __future__ import annotations

from collections.abc import Iterator

from autodist_saved.errors import Problem
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.system.foreign_files import NotAFileError, read_file
from autodist_saved.system.paths import exists
from autodist_saved.tf_internals.start_up_log import start_up_log_hidden

_MOST_BYTES = 64 * 1024  # five numbers


def fingerprint_problems(files: SavedModelFiles, fix: str) -> Iterator[Problem]:
    """Check whether ``fingerprint.pb`` belongs to this model, if the file exists.

    This loads TensorFlow, because TensorFlow's hash functions are implemented there only.

    Args:
        files: of the model. Its graphs and its index have been read without a problem.
        fix: what to do about a problem.
    """
    if not exists(files.fingerprint):
        return
    with start_up_log_hidden():
        from autodist_saved.tf_internals.private_api import fingerprint_fits

    name = files.fingerprint.name
    try:
        contents = read_file(files.fingerprint, _MOST_BYTES, files.root)
        if not fingerprint_fits(str(files.root), contents):
            yield Problem(name, "it is the fingerprint of another graph, or of other variables", fix)
    except NotAFileError as error:
        yield Problem(name, error.what, fix)
    except (OSError, ValueError) as error:
        yield Problem(name, f"it cannot be read ({error})", fix)
