"""The phases of an export as bars on one scale."""

from __future__ import annotations

from dataclasses import dataclass

from autodist_saved.report.report import ExportReport
from autodist_saved.report.timeline import Interval
from autodist_saved.report_views.shares import percent

MEANING = {
    "plan": "which variables there are, and who holds them",
    "describe": "graphs and signatures",
    "open": "a hidden place for the files",
    "connect": "parameter servers get ready",
    "ask": "the job answers once before, so that it stops for less",
    "cut": "trainers come to the end of their step",
    "stage": "variables are copied where they are, or held",
    "release": "trainers go on",
    "stream": "the variables become files",
    "discard": "the copies are freed",
    "graphs": "the graphs are written",
    "verify": "what was written is read back",
    "commit": "the model appears",
}


@dataclass(frozen=True)
class Bar:
    """A time, in percent of the whole; and in words, for those who do not see it."""

    begin: float
    width: float
    words: str


@dataclass(frozen=True)
class PhaseRow:
    """All times of one phase."""

    phase: str
    meaning: str
    bars: tuple[Bar, ...]
    seconds: float


@dataclass(frozen=True)
class TimelineChart:
    """The phases in the order in which they began.

    Attributes:
        rows: one for each phase.
        stall: when training stood still; None where that is not known.
        seconds: the whole.
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
