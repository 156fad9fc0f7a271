"""Jobs that train on and export when they are told to, and what their tasks leave of every step and standstill."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

import numpy as np
import tensorflow as tf

from tests.support.job import Job, leave

SCRIPT = "cut.py"
# Whoever waits for the end of a limit instead of what it should wait for is still waiting when the test gives up.
FOR_EVER_SECS = 3600.0

_numbers = count()


@dataclass
class CutJob(Job):
    """A running job of ``tests/support/jobs/cut.py``. Moments are ``time.monotonic()``, the same in all processes."""

    environ: dict[str, str] = field(default_factory=dict)
    behind: dict[str, Sequence[str]] = field(default_factory=dict)

    @property
    def trainers(self) -> list[str]:
        return [str(task) for task in self.cluster.tasks if task.type != "ps" and str(task) in self.processes]

    def begin(self, task: str) -> None:
        (self.results / f"joined-{task}.json").unlink(missing_ok=True)
        self.start_task(task, SCRIPT, self.environ, behind=self.behind.get(task, ()))

    def train(self, *, without: Sequence[str] = ()) -> None:
        """Return when all tasks train, those that were lost too."""
        for task in map(str, self.cluster.tasks):
            if task not in without and task not in self.processes:
                self.begin(task)
        self.wait_for_steps()

    def hold(self, task: str) -> int:
        """Have a task enter a step and stay there. How many steps it has done since its process began."""
        (self.results / f"held-{task}.json").unlink(missing_ok=True)
        leave(self.results, f"hold-{task}", True)
        return int(self.wait_for(f"held-{task}"))

    def let_go(self, task: str) -> None:
        (self.results / f"hold-{task}.json").unlink(missing_ok=True)

    def export(
        self,
        *,
        halt: str | None = None,
        thread: bool = False,
        saver: int = 0,
        lease_secs: float = FOR_EVER_SECS,
        **options: Any,
    ) -> AskedExport:
        """Ask the chief for an export; it halts ``before staging``, ``after staging`` or while ``streaming``.

        Unless the limits are given, nobody who is parked goes on before the chief says so.
        """
        name = f"{next(_numbers)}"
        options = {"cut_timeout_secs": FOR_EVER_SECS, **options}
        request = {"halt": halt, "thread": thread, "saver": saver, "lease_secs": lease_secs, "options": options}
        leave(self.results, f"export-{name}", request)
        return AskedExport(self, name)

    def steps(self, task: str) -> list[float]:
        """When each step of a task was done."""
        return [line[0] for line in self._numbers_in(f"steps-{task}")]

    def wait_for_steps(self, *, without: Sequence[str] = ()) -> None:
        """Return when every task has trained after this was called."""
        now = time.monotonic()
        for task in self.trainers:
            if task not in without:
                self.wait_until(lambda task=task: self.steps(task)[-1:] > [now], f"step of {task}")

    def longest_pause(self, task: str, since: float) -> float:
        """The longest time without a step of a task, from a moment on until it trains now."""
        now = time.monotonic()
        self.wait_until(lambda: self.steps(task)[-1:] > [now], f"step of {task}")
        return max(after - before for before, after in pairwise(self.steps(task)) if after >= since)

    def is_standing_still(self, task: str, since: float) -> bool:
        """Whether a task's gate was closed after a moment and has not been opened again."""
        noted = self._numbers_in(f"standstills-{task}")
        return bool(noted) and noted[-1][0] > since and bool(noted[-1][1])

    def has_stood_still(self, task: str, since: float) -> bool:
        """Whether a task's gate was closed after a moment."""
        return any(closed and begin >= since for begin, closed in self._numbers_in(f"standstills-{task}"))

    def wait_for_another_log(self, task: str, text: str, seen: int) -> None:
        """Wait until a task has said something more often than it had when it was looked at."""
        self.wait_until(lambda: self.log(task).count(text) > seen, text)

    def leftovers(self) -> list[str]:
        """What failed exports have left where the models are."""
        return sorted(path.name for path in (self.results / "models").glob(".*"))

    def _numbers_in(self, name: str) -> list[list[float]]:
        try:
            text = (self.results / name).read_text()
        except FileNotFoundError:
            return []
        return [[float(word) for word in line.split()] for line in text[: text.rfind("\n") + 1].splitlines()]


@dataclass
class AskedExport:
    """An export that the chief was asked for."""

    job: CutJob
    name: str

    def wait_until_halted(self) -> float:
        return float(self.job.wait_for(f"halted-{self.name}"))

    def wait_until_taken(self) -> None:
        """Until the chief has begun with it."""
        path = self.job.results / f"export-{self.name}.json"
        self.job.wait_until(lambda: not path.exists(), f"export {self.name}")

    def go(self) -> None:
        leave(self.job.results, f"go-{self.name}", True)

    def found(self) -> dict[str, Any]:
        """What has become of it, once it is over."""
        found: dict[str, Any] = self.job.wait_for(f"exported-{self.name}")
        return found

    def succeed(self, *, exact: bool = True) -> dict[str, Any]:
        """What it says it has done. Every piece is of the global step that it says.

        Args:
            exact: False where the job has been restored while its workers trained on, or a step was cut in two.
        """
        found = self.found()
        assert found["error"] is None, f"{found}\n{self.job.logs()}"
        report: dict[str, Any] = found["report"]
        witness = report["witness"]
        assert witness["training"] == []
        assert witness["global_step_before"] == witness["global_step_after"]
        reader = tf.train.load_checkpoint(f"{report['path']}/variables/variables")
        assert reader.get_tensor("global_step") == witness["global_step_before"]
        if exact:
            np.testing.assert_array_equal(reader.get_tensor("counter"), witness["global_step_before"])
        return report

    def fail(self, error: str) -> dict[str, Any]:
        """What it says of its failure. Nothing of it is there."""
        found = self.found()
        assert found["error"] == error, f"{found}\n{self.job.logs()}"
        assert not os.path.lexists(self.job.results / "models" / self.name)
        assert not [name for name in self.job.leftovers() if name.startswith(f".{self.name}.")]
        return found
