"""The benchmark of gathering runs and leaves its figures. What they are is no matter for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.benchmark import run


@pytest.mark.parametrize("variables", [1, 8])
def test_gathering_is_measured_for_each_way(tmp_path: Path, variables: int) -> None:
    small = ["--mib", "2", "--ps", "2", "--rounds", "1", "--variables", str(variables), "--directory", str(tmp_path)]
    measured, shown = run(tmp_path, "gather", *small)
    for method in ("stock_plain", "stock_sharded", "stream", "shared"):
        assert measured[method]["median_seconds"] > 0
        assert method in shown
    stream, plain = measured["stream"]["median_seconds"], measured["stock_plain"]["median_seconds"]
    assert measured["stream_over_stock_plain"] == stream / plain
    assert measured["stream_over_stock_sharded"] > 0
    assert measured["shared_over_stock_sharded"] > 0
    assert ("stream_over_one_variable" in measured) == (variables > 1)
    assert measured["budget_mib"] == 256
    assert measured["chief_growth_mib"] >= 0
