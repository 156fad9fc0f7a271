"""Models that are on their way into an object store, from this process or another one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from autodist_saved.publish.target import Target
from tests.support.object_store import environment

PART = 2**23
"""Bytes of a part of an upload."""

PUBLISHER = """
import sys
from autodist_saved.publish.target_factory import target_at
from autodist_saved.publish.store.claim import Claim
from autodist_saved.publish.versioned import VersionedTarget
from tests.support.versions import write_model
from tests.publish.staged import PART, stage
target = VersionedTarget(sys.argv[1])
for step in sys.argv[2:]:
    if step == "one":
        target = target_at(sys.argv[1])
    elif step == "open":
        files = stage(target, 2 * PART)
    elif step == "keep claim":
        Claim.release = lambda claim: None
    elif step == "complete":
        target.complete()
    elif step == "commit":
        write_model(files.root)
        target.commit()
    print(step, flush=True)
sys.stdin.read()
"""


def stage(target: Target, nbytes: int) -> object:
    """A model with so many bytes of variables."""
    files = target.open("chief:0")
    upload = files.uploads.open(files.variables / "variables.data-00000-of-00001", nbytes)
    upload.write(np.zeros(nbytes, np.uint8), 0)
    upload.finish()
    return files


def publisher(base: Path, *steps: str) -> subprocess.Popen[str]:
    """Another process, once it has done these steps. With ``one`` first, ``base`` is the place of a single model."""
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, str(base), *steps],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for step in steps:
        assert process.stdout.readline() == f"{step}\n"
    return process


def end(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.communicate()
