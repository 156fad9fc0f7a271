"""Runs of benchmarks, as small as they can be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run(directory: Path, *command: str) -> tuple[dict[str, Any], str]:
    """The figures that a benchmark leaves, and what it says. Nothing else is left in ``directory``."""
    figures = directory / "figures.json"
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", *command, "--json", str(figures)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert [path.name for path in directory.iterdir()] == ["figures.json"]
    return json.loads(figures.read_text()), run.stdout
