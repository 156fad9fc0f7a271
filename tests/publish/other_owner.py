"""Another process, which owns a base."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from autodist_saved.publish.ownership import LockedOwnership
ownership = LockedOwnership.of(Path(sys.argv[1]), "chief:0")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_owner(base: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(base)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()
