"""Where this project and its jobs for tests are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
JOBS = Path(__file__).parent / "jobs"
