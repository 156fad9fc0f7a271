"""The benchmark of gathering runs and leaves its figures. What they are is no matter for tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("variables", [1, 8])
def test_gathering_is_measured_for_each_way(tmp_path: Path, variables: int) -> None:
    figures = tmp_path / "figures.json"
    command = ["gather", "--mib", "2", "--ps", "2", "--rounds", "1", "--variables", str(variables)]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", *command, "--directory", str(tmp_path), "--json", str(figures)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    measured = json.loads(figures.read_text())
    for method in ("stock_plain", "stock_sharded", "stream", "shared"):
        assert measured[method]["median_seconds"] > 0
        assert method in run.stdout
    stream, plain = measured["stream"]["median_seconds"], measured["stock_plain"]["median_seconds"]
    assert measured["stream_over_stock_plain"] == stream / plain
    assert measured["stream_over_stock_sharded"] > 0
    assert measured["shared_over_stock_sharded"] > 0
    assert ("stream_over_one_variable" in measured) == (variables > 1)
    assert measured["budget_mib"] == 256
    assert measured["chief_growth_mib"] >= 0
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"], "nothing else is left"
