"""Collects the facts of an export while it runs, and makes its report at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autodist_saved.report.report import Destination, ExportReport, Mode
from autodist_saved.report.timeline import Stopwatch
from autodist_saved.system.memory import MemoryGrowth


class ReportBuilder:
    """Collects the facts of one export. Only one thread at a time may use it.

    Attributes:
        task: name of the chief.
        stopwatch: measures the phases.
        path: path of the model; None before the model is published.
    """

    def __init__(
        self, task: str, target: Destination, metrics: Mapping[str, float], metric_modes: Mapping[str, Mode]
    ) -> None:
        """The export begins now. The arguments are attributes of :class:`ExportReport`."""
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
        """Set attributes of :class:`ExportReport`."""
        self._known.update(known)

    def note_memory(self) -> None:
        """Set the memory that this process has taken so far, and keep what other tasks have reported."""
        self.note(memory={self.task: self._growth.measure(), **self._known.get("memory", {})})

    @property
    def report(self) -> ExportReport:
        """A report of the facts so far."""
        return ExportReport(self.task, path=self.path, intervals=self.stopwatch.intervals, **self._known)
