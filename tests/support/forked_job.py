"""A job whose tasks are forked off a nursery, and wait at moments of an export."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autodist_saved.cluster import Task
from tests.support.job import Job, leave
from tests.support.nursery import Nursery


class ForkedJob(Job):
    """Its tasks are begun one by one."""

    def begin(self, nursery: Nursery, task: str, environ: Mapping[str, str] | None = None) -> None:
        tf_config = self.cluster.tf_config(Task.parse(task))
        log = self.results / f"{task}.log"
        self.processes[task] = nursery.bear(self.results, log, {"TF_CONFIG": tf_config, **(environ or {})})  # type: ignore[assignment]

    def pause_at(self, moment: str) -> None:
        """Until the next export has come there. See ``tests/jobs/paused.py``."""
        self.pause_when_at(moment)
        self.wait_for("paused")

    def pause_when_at(self, moment: str) -> None:
        """As :meth:`pause_at`, but does not wait for that."""
        leave(self.results, "pause", moment)

    def go_on(self) -> None:
        for name in ("paused", "pause"):
            (self.results / f"{name}.json").unlink(missing_ok=True)

    def steps(self, task: str) -> int:
        """How many steps a task has done."""
        return (self.results / f"steps-{task}").read_text().count("\n")

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        self._wait_until(holds, what, 60)

    def lose(self, task: str) -> None:
        """Kill a task with SIGKILL."""
        process = self.processes.pop(task)
        process.kill()
        process.wait()
