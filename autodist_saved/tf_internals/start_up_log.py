"""What TensorFlow's native code writes to standard error while it starts, on machines where nothing is wrong.

Its log level (``TF_CPP_MIN_LOG_LEVEL``) does not hold before absl's log is initialized, which TensorFlow for Python
never does, and a machine without a GPU is an error to it. The lines were seen from TensorFlow 2.20 and 2.21.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
ERRORS_ALONE = "2"

_LINE = re.compile(
    r"WARNING: All log messages before absl::InitializeLog\(\) is called"
    # A month and a day of zeros: absl's log is not initialized.
    r"|[IW]0000 00:00:\d+\.\d+ +\d+ \S+:\d+\] "
    r"|E0000 00:00:\d+\.\d+ +\d+ \S+:\d+\] "
    # 303 is CUDA's word for a driver that is not installed. All its other errors are for people to see.
    r"(failed call to cuInit: .*(\(303\)|CUDA_ERROR_NO_DEVICE)|Unable to register cu\w+ factory)"
)


def is_start_up_line(line: str) -> bool:
    """Whether a line of standard error is of this kind, so that people need it only where something fails."""
    return _LINE.match(line) is not None


@contextlib.contextmanager
def start_up_log_hidden() -> Iterator[None]:
    """Where a command imports TensorFlow: these lines are shown only if the import fails.

    Does nothing where TensorFlow is imported already, or where the user has set its log level.
    """
    if "tensorflow" in sys.modules or os.environ.setdefault(LEVEL, ERRORS_ALONE) != ERRORS_ALONE:
        yield
        return
    try:
        shown = os.dup(2)
    except OSError:  # nobody listens
        yield
        return
    with tempfile.TemporaryFile() as written, os.fdopen(shown, "wb") as stderr:
        os.dup2(written.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(shown, 2)
            written.seek(0)
            for line in written:
                if failed or not is_start_up_line(line.decode(errors="replace")):
                    stderr.write(line)
