"""Where this project, its program and its jobs for tests are."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
JOBS = Path(__file__).parent / "jobs"
PROGRAM = Path(sys.executable).with_name("autodist-saved")
