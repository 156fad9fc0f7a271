"""What every task of ``gate`` runs: the worker trains, and counts what it exchanges with the chief meanwhile."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.cluster.address import Address
from benchmarks.task import take_part
from benchmarks.traffic import Traffic


def main(result: Path, seconds: float) -> None:
    cluster = take_part()
    if cluster is None:
        return
    port = Address.of(cluster.control_address).port
    with v1.Graph().as_default(), cluster.device_scope():
        train = v1.assign_add(v1.train.get_or_create_global_step(), 1).op
        # Closing the chief's session waits for the worker.
        with ads.create_distributed_session(cluster) as sess:
            if cluster.is_chief:
                return

            def measure(activity: Callable[[float], None]) -> dict[str, Any]:
                before, steps = Traffic.with_port(port), sess.gate.steps
                activity(seconds)
                return {"steps": sess.gate.steps - steps, **asdict(Traffic.with_port(port) - before)}

            def train_on(seconds: float) -> None:
                ends = time.monotonic() + seconds
                while time.monotonic() < ends:
                    sess.run(train)

            figures = {"idle": measure(time.sleep), "training": measure(train_on)}
    result.write_text(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
