"""A job that publishes, and whose exports wait at a moment for the test."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.job import Job, leave


class PausableJob(Job):
    """Its tasks run ``tests/support/jobs/paused.py``, and are begun one by one."""

    def begin(self, task: str, environ: Mapping[str, str] | None = None) -> None:
        self.start_task(task, "paused.py", environ)

    def pause_at(self, moment: str) -> None:
        """Until the next export has come there. See ``tests/support/jobs/paused.py``."""
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
