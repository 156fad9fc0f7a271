"""Models that are exported while others train on are of one moment; the benchmark that looks can tell."""

from __future__ import annotations

from tests.benchmarks.conftest import Benchmark


def test_no_export_is_torn_where_training_stops_for_it(benchmark: Benchmark) -> None:
    measured, shown = benchmark("consistency", "--exports", "4", "--mib", "1")
    assert measured["exports"] == 4
    assert measured["consistency"] == "step"
    assert measured["torn"] == measured["step_mismatches"] == 0
    assert measured["stock_torn"] > 0, "all train while models are saved"
    assert measured["steps"] > 0
    assert measured["median_seconds"] > 0
    assert measured["stock_median_seconds"] > 0
    assert "consistency=step" in shown


def test_exports_that_stop_nobody_are_torn(benchmark: Benchmark) -> None:
    command = ["consistency", "--exports", "8", "--mib", "1", "--consistency", "none"]
    measured, _ = benchmark(*command)
    assert measured["torn"] + measured["step_mismatches"] > 0
