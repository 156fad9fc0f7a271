"""A job that ``autodist-saved launch`` has started, and that is talked to through the launcher alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from autodist_saved.cluster import ControlFiles
from autodist_saved.control.console_client import ConsoleClient
from tests.support.places import JOBS, PROGRAM, ROOT

PATIENCE_SECS = 90.0


def test_it_is_looked_at_asked_for_a_version_and_told_to_end_with_another(tmp_path: Path) -> None:
    config, log, base = tmp_path / "cluster.yaml", tmp_path / "log", tmp_path / "base"
    config.write_text("cluster: {chief: ['localhost:0'], ps: ['localhost:0']}")

    def wait_until(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECS
        while not holds():
            assert job.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)  # files have no event to wait for that works everywhere

    with (
        log.open("w") as output,
        subprocess.Popen(
            [PROGRAM, "launch", config, "--", sys.executable, JOBS / "paused.py", tmp_path],
            env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEDULE": "{}"},
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as job,
    ):
        try:
            wait_until((tmp_path / "began-chief:0.json").exists)
            found = re.search(r"autodist-saved status (\S+)", log.read_text())
            assert found
            with ConsoleClient(found[1], ControlFiles()) as visitor:
                assert [task.state for task in visitor.status().tasks] == ["joined", "joined"]
            job.send_signal(signal.SIGUSR1)
            wait_until((base / "1" / "saved_model.pb").exists)
            job.terminate()
            assert job.wait(PATIENCE_SECS) == 128 + signal.SIGTERM
            assert (base / "2" / "saved_model.pb").exists(), log.read_text()
        finally:
            job.kill()
