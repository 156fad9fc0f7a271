"""A running job of one process, which publishes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from autodist_saved.cluster import Cluster
from tests.support.job import leave
from tests.support.pausable_job import PausableJob


class LoneJob(PausableJob):
    """It publishes in a directory, and trains until it is told to stop."""

    def __init__(self, results: Path, base: Path, *, become: int | None = None, **schedule: Any) -> None:
        results.mkdir(exist_ok=True)
        super().__init__(Cluster.single().with_free_ports(), results)
        self.base = base
        environ = {"SCHEDULE": json.dumps(schedule), "BASE": str(base)}
        self.begin("worker:0", environ if become is None else {**environ, "BECOME": str(become)})

    @property
    def pid(self) -> int:
        return self.processes["worker:0"].pid

    @property
    def said(self) -> str:
        return self.log("worker:0")

    def wait_until_training(self) -> None:
        self.wait_for("began-worker:0")
        self.train_on()

    def train_on(self) -> None:
        """Wait until it has trained for some steps."""
        steps = self.steps("worker:0")
        self.wait_until(lambda: self.steps("worker:0") > steps + 5, "step")

    def newest(self) -> int:
        return max(map(int, self._names()), default=0)

    def publish_on(self) -> None:
        """Wait for two newer versions, the first of which may have been under way."""
        before = self.newest()
        self.wait_until(lambda: self.newest() >= before + 2, "version")

    def fail_with(self, words: str, since: str) -> None:
        """Wait for the first failed export that is not in what it had said. It says so, and training goes on.

        ``words`` are a regular expression.
        """
        told = "failed; training goes on"
        self.wait_until(lambda: told in self.said[len(since) :], told)
        line = next(line for line in self.said[len(since) :].splitlines() if told in line)
        assert re.search(words, line), line
        self.train_on()

    def stop(self) -> None:
        """End it well."""
        leave(self.results, "stop-worker:0", True)
        self.succeed()

    def versions(self) -> list[int]:
        """Those that loaders take for models."""
        return sorted(int(name) for name in self._names() if (self.base / name / "saved_model.pb").exists())

    def _names(self) -> list[str]:
        return [path.name for path in self.base.glob("*") if path.name.isdigit()]
