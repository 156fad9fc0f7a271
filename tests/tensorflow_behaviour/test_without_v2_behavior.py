"""What ours share with TensorFlow's classes is the same after ``tf.compat.v1.disable_v2_behavior()``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tensorflow_behaviour.conftest import WITHOUT_V2_BEHAVIOR

TESTS = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_everything_of_it() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS), f"--ignore={__file__}"],
        cwd=TESTS.parents[1],
        env={**os.environ, WITHOUT_V2_BEHAVIOR: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-8000:]
