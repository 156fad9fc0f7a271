"""A job for one measurement: fresh processes each time, so that no memory of an earlier one helps or hurts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autodist_saved.cluster import Cluster


def measure(module: str, cluster: Cluster, arguments: Sequence[str], timeout_secs: float) -> dict[str, Any]:
    """Run ``python -m MODULE RESULT ARGUMENTS...`` on every task; what the chief left in RESULT, a JSON file.

    Raises:
        RuntimeError: a task failed; its output is in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        logs = {str(task): (Path(folder) / f"{task}.log") for task in cluster.tasks}
        processes = {
            str(task): subprocess.Popen(
                [sys.executable, "-m", module, str(result), *arguments],
                env={
                    **os.environ,
                    "TF_CONFIG": cluster.tf_config(task),
                    "TF_CPP_MIN_LOG_LEVEL": "2",
                    "CUDA_VISIBLE_DEVICES": "-1",
                },
                stdin=subprocess.DEVNULL,
                stdout=logs[str(task)].open("w"),
                stderr=subprocess.STDOUT,
            )
            for task in cluster.tasks
        }
        try:
            for task, process in processes.items():
                if process.wait(timeout_secs) != 0:
                    raise RuntimeError(f"{task} failed\n{logs[task].read_text()[-4000:]}")
        finally:
            for process in processes.values():
                process.kill()
                process.wait()
        measured: dict[str, Any] = json.loads(result.read_text())
        return measured
