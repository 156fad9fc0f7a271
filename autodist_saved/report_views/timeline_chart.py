"""A chart of the phases of an export, as bars on one scale."""

from __future__ import annotations

from dataclasses import dataclass

from autodist_saved.report.report import ExportReport
from autodist_saved.report.timeline import Interval
from autodist_saved.report_views.shares import percent

MEANING = {
    "plan": "find the variables and the tasks that hold them",
    "describe": "describe graphs and signatures",
    "open": "make a hidden place for the files",
    "connect": "parameter servers connect and prepare",
    "ask": "the job answers the examples once, so that it answers faster when stopped",
    "cut": "trainers finish their steps and stop",
    "stage": "parameter servers copy or hold the variables",
    "release": "trainers continue",
    "stream": "write the variables to files",
    "discard": "free the copies",
    "graphs": "write the graphs",
    "verify": "read back the written files",
    "commit": "publish the model",
}


@dataclass(frozen=True)
class Bar:
    """One interval.

    Attributes:
        begin, width: in percent of the whole export.
        words: description, for people who do not see the bar.
    """

    begin: float
    width: float
    words: str


@dataclass(frozen=True)
class PhaseRow:
    """The row of one phase.

    Attributes:
        phase: its name.
        meaning: what happens in it.
        bars: its intervals.
        seconds: the sum of its intervals.
    """

    phase: str
    meaning: str
    bars: tuple[Bar, ...]
    seconds: float


@dataclass(frozen=True)
class TimelineChart:
    """The chart.

    Attributes:
        rows: one row for each phase, in the order in which the phases began.
        stall: when training stood still; None if that is not known.
        seconds: length of the whole export.
    """

    rows: tuple[PhaseRow, ...]
    stall: Bar | None
    seconds: float

    @classmethod
    def of(cls, report: ExportReport) -> TimelineChart:
        """Draw the intervals of a report."""
        whole = report.elapsed
        rows = [
            PhaseRow(
                phase,
                MEANING.get(phase, ""),
                tuple(_bar(interval, whole) for interval in report.intervals if interval.phase == phase),
                seconds,
            )
            for phase, seconds in report.seconds.items()
        ]
        return cls(tuple(rows), None if report.stall is None else _bar(report.stall, whole), whole)


def _bar(interval: Interval, whole: float) -> Bar:
    words = f"{interval.begin:.3f} s to {interval.end:.3f} s"
    return Bar(percent(interval.begin, whole), percent(interval.seconds, whole), words)
