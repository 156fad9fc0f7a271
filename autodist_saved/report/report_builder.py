"""What an export has seen so far, from which its report is made whenever somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autodist_saved.report.report import Destination, ExportReport, Mode
from autodist_saved.report.timeline import Stopwatch
from autodist_saved.system.memory import MemoryGrowth


class ReportBuilder:
    """Collects what is known of one export. One thread at a time uses it.

    Attributes:
        task: the chief's name.
        stopwatch: takes the times of the phases.
        path: where the model is; None as long as it is not visible.
    """

    def __init__(
        self, task: str, target: Destination, metrics: Mapping[str, float], metric_modes: Mapping[str, Mode]
    ) -> None:
        """The export begins now. Arguments are as in :class:`ExportReport`."""
        self.task = task
        self.stopwatch = Stopwatch()
        self.path: str | None = None
        self._growth = MemoryGrowth()
        self._known: dict[str, Any] = {
            "target": target,
            "metrics": dict(metrics),
            "metric_modes": dict(metric_modes),
            "started": self.stopwatch.started,
        }

    def note(self, **known: Any) -> None:
        """Add attributes of :class:`ExportReport`, or replace what was known of them."""
        self._known.update(known)

    def note_memory(self) -> None:
        """Add how much memory this process has taken so far, besides what other tasks have told."""
        self.note(memory={self.task: self._growth.measure(), **self._known.get("memory", {})})

    @property
    def report(self) -> ExportReport:
        """The report of this moment."""
        return ExportReport(self.task, path=self.path, intervals=self.stopwatch.intervals, **self._known)
