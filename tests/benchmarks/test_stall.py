"""The benchmark of the workers' pause runs and leaves its figures, and takes the pause out of the steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.steps import Interval, Steps
from tests.benchmarks.benchmark import run


@pytest.mark.parametrize("update", ["sparse", "dense"])
def test_the_pause_is_measured_for_each_way(tmp_path: Path, update: str) -> None:
    small = ["--mib", "8", "--ps", "2", "--rounds", "1", "--update", update, "--directory", str(tmp_path)]
    measured, shown = run(tmp_path, "stall", *small)
    for method in ("cold", "warm", "stock_plain", "stock_sharded"):
        found = measured[method]
        assert found["pause_seconds"] == max(found["to_step_seconds"], found["through_step_seconds"]) > 0
        assert method in shown
    for stock in ("stock_plain", "stock_sharded"):
        of_stock = measured[stock]
        assert of_stock["phases_seconds"]["write"] < of_stock["to_step_seconds"], "nobody trains while it saves"
    for warmth in ("cold", "warm"):
        assert measured[warmth]["to_step_seconds"] < measured[warmth]["save_seconds"], "of this save"
        ratio = measured[warmth]["pause_seconds"] / measured["stock_plain"]["pause_seconds"]
        assert measured[f"pause_over_stock_{warmth}"] == ratio
        assert measured[warmth]["phases_seconds"]["stage"] < measured[warmth]["pause_seconds"]
    assert measured["pause_over_copy_warm"] == measured["warm"]["pause_seconds"] / measured["copy_seconds"]
    assert measured["drag"] == min(measured["cold"]["drag"], measured["warm"]["drag"]) > 0


def test_the_pause_is_the_longest_time_between_steps_of_an_interval() -> None:
    began, lengths = np.array([[0.0, 1.0, 2.0, 5.0, 9.0, 20.0], [1.0, 1.0, 1.0, 3.0, 1.0, 1.0]])
    steps = Steps(began, began + lengths)
    pause = steps.pause(Interval(2.5, 8.5), usual_step=1.0)
    assert (pause.to_step, pause.through_step, pause.over_at) == (2.0, 4.0, 5.0)
    assert pause.seconds == 4.0, "copying that was put off to the first step is counted"
    assert steps.pause(Interval(8.5, 10.5), usual_step=1.0).to_step == 10.0
    assert steps.usual_seconds(Interval(0.5, 9.5)) == 1.0
    assert steps.per_second(Interval(0.5, 8.5)) == 0.5


def test_steps_are_the_same_in_another_process(tmp_path: Path) -> None:
    Steps(np.array([1.0, 2.0]), np.array([1.5, 2.5])).write(tmp_path / "steps.npy")
    read = Steps.read(tmp_path / "steps.npy")
    assert (read.began.tolist(), read.ended.tolist()) == ([1.0, 2.0], [1.5, 2.5])
