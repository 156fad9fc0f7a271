"""Models that are exported while others train on are of one moment; the benchmark that looks can tell."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.benchmark import run


def test_no_export_is_torn_where_training_stops_for_it(tmp_path: Path) -> None:
    measured, shown = run(tmp_path, "consistency", "--exports", "4", "--directory", str(tmp_path))
    assert measured["exports"] == 4
    assert measured["consistency"] == "step"
    assert measured["torn"] == measured["step_mismatches"] == 0
    assert measured["stock_torn"] > 0, "all train while models are saved"
    assert measured["steps"] > 0
    assert measured["median_seconds"] > 0
    assert measured["stock_median_seconds"] > 0
    assert "consistency=step" in shown


def test_exports_that_stop_nobody_are_torn(tmp_path: Path) -> None:
    command = ["consistency", "--exports", "8", "--consistency", "none", "--directory", str(tmp_path)]
    measured, _ = run(tmp_path, *command)
    assert measured["torn"] + measured["step_mismatches"] > 0
