"""The report of an export: what happened, in numbers. Also stored with the model, as its manifest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, computed_field
from pydantic.dataclasses import dataclass
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from autodist_saved.plan import ExportPlan
from autodist_saved.report.timeline import Interval
from autodist_saved.report.witness import Witness
from autodist_saved.system.escape import escape
from autodist_saved.system.memory import TaskMemory

Mode = Literal["max", "min"]
"""Which of a metric's values is the best."""


@dataclass(frozen=True)
class FileSum:
    """What tells a file from another one.

    Attributes:
        nbytes: its size.
        crc32c: checksum of its bytes, unmasked; None for data files of variables, whose bytes have their checksums in
            the index of variables.
    """

    nbytes: int
    crc32c: int | None = None


_VERIFIED = {"none": "no", "checksums": "read back", "full": "read back, loaded and compared with the job"}


@dataclass(frozen=True)
class Destination:
    """Where an export went. A model may have been moved since.

    Attributes:
        kind: of the target, such as ``VersionedTarget``.
        path: of the target; for versions the directory that they are in.
    """

    kind: str
    path: str

    def __str__(self) -> str:
        return f"{self.path} ({self.kind})"


@dataclass(frozen=True)
class ExportReport:
    """What one task did for an export. What is not known is None, or absent from its dictionary.

    Attributes:
        task: the task that reports, such as ``chief:0``; ``local`` in a process without a cluster.
        path: the SavedModel's directory; None as long as it is not visible, and on every task but the chief.
        target: where the export went.
        note: in words, why this task did nothing; empty on the chief.
        started: when the export began, in UTC.
        nbytes: bytes of the variables' data files.
        intervals: the phases in the order in which they began. One may come several times, and within another one:
            where nothing is copied, the job is released within ``stream``.
        metrics: how good the model is, as its exporter was told, by name; finite numbers.
        metric_modes: of metrics, whether the greatest or the least is the best, as far as the exporter was told.
        transport: for each task that holds variables by which way they came, if they could be carried: ``stream``,
            ``shared``, or ``read``, by the chief itself, from tasks that are no parameter servers of ours.
        staging: for each of these tasks what it did while the job was stopped: ``memory``, it copied them, or
            ``parked``, it did not, and the job was stopped until they had come.
        memory: of the chief, and of the parameter servers that have staged by themselves.
        plan: the logical variables and the pieces they were made of; None where nothing was exported.
        witness: the job's progress around staging; None where nothing was exported.
        verified: ``none``, ``checksums`` or ``full``, as in :class:`ExportOptions`; empty as long as the model is not
            complete.
        answers: with ``verify="full"`` for each signature whether the loaded model answers as the job does, or why
            that was not compared.
        files: size and checksum of each file, by path in the model; empty as long as the model is not complete. The
            manifest itself is not among them.
    """

    task: str
    path: str | None = None
    target: Destination | None = None
    note: str = ""
    started: datetime | None = None
    nbytes: int = 0
    intervals: tuple[Interval, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    metric_modes: dict[str, Mode] = field(default_factory=dict)
    transport: dict[str, str] = field(default_factory=dict)
    staging: dict[str, str] = field(default_factory=dict)
    memory: dict[str, TaskMemory] = field(default_factory=dict)
    plan: ExportPlan | None = None
    witness: Witness | None = None
    verified: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    files: dict[str, FileSum] = field(default_factory=dict)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def seconds(self) -> dict[str, float]:
        """Wall time by phase, in the order in which the phases began."""
        seconds: dict[str, float] = {}
        for interval in self.intervals:
            seconds[interval.phase] = seconds.get(interval.phase, 0.0) + interval.seconds
        return seconds

    @property
    def elapsed(self) -> float:
        """Seconds from the beginning of the export to the end of its last phase."""
        return max((interval.end for interval in self.intervals), default=0.0)

    @property
    def stall(self) -> Interval | None:
        """The time in which no task trained: from when the last one had stopped until all were let go.

        Those that had stopped before it waited longer, by the time of the phase ``cut`` at the most. None where
        nobody had to be stopped.
        """
        ends = {interval.phase: interval.end for interval in self.intervals}
        if self.witness is None or not self.witness.epoch or not {"cut", "release"} <= ends.keys():
            return None
        return Interval("stall", ends["cut"], ends["release"] - ends["cut"])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def stall_seconds(self) -> float | None:
        """How long :attr:`stall` was."""
        return None if self.stall is None else self.stall.seconds

    @computed_field  # type: ignore[prop-decorator]
    @property
    def bytes_per_second(self) -> float | None:
        """Bytes of variables per second of the phase ``stream``; None where there was nothing to stream."""
        streaming = self.seconds.get("stream", 0.0)
        return self.nbytes / streaming if streaming and self.nbytes else None

    @property
    def global_step(self) -> int | None:
        """The job's global step when the variables were staged; None where it has none."""
        return self.witness.global_step_before if self.witness else None

    def __str__(self) -> str:
        if self.plan is None:
            return self.note or f"{self.task} has not exported anything"
        step = "" if self.global_step is None else f" of step {self.global_step}"
        place = f"to {self.path}" if self.path else "and not made visible"
        stall = "" if self.stall is None else f"; training stood still for {self.stall.seconds:.3f} s"
        return (
            f"{len(self.plan.variables)} variables{step}, {self.nbytes:,} bytes, exported {place} in "
            f"{self.elapsed:.1f} s{stall}"
        )

    def __rich__(self) -> Table:
        """For ``rich``: the facts as a table."""
        return facts_table(self.facts())

    def facts(self) -> list[tuple[str, str]]:
        """What people ask first, each with its name."""
        facts = [("exported by", self.task)]
        if self.target is not None:
            facts.append(("exported to", str(self.target)))
        if self.started is not None:
            facts.append(("started", f"{self.started:%Y-%m-%d %H:%M:%S} UTC"))
        if self.plan is not None:
            facts.append(("variables", f"{len(self.plan.variables)}, {self.nbytes:,} bytes"))
            facts.append(("held by", ", ".join(self.plan.tasks())))
        for name, ways in (("staging", self.staging), ("transport", self.transport)):
            if ways:
                facts.append((name, ", ".join(f"{task} {way}" for task, way in ways.items())))
        if self.witness is not None:
            facts += self.witness.facts()
        if self.verified:
            facts.append(("verified", _VERIFIED.get(self.verified, self.verified)))
        facts += [(f"answers of {signature}", outcome) for signature, outcome in self.answers.items()]
        if self.metrics:
            facts.append(("metrics", ", ".join(self._metric(*item) for item in self.metrics.items())))
        return facts + self._figures()

    def _figures(self) -> list[tuple[str, str]]:
        facts = []
        if self.witness is not None:
            stall = "not known: no cut stopped it" if self.stall is None else f"{self.stall.seconds:.3f} s"
            facts.append(("training stood still", stall))
        if self.bytes_per_second is not None:
            facts.append(("streamed", f"{decimal(int(self.bytes_per_second))} per second"))
        if self.memory:
            facts.append(("memory", ", ".join(f"{task} {memory}" for task, memory in self.memory.items())))
        if self.intervals:
            facts.append(("seconds", ", ".join(f"{phase} {secs:.3f}" for phase, secs in self.seconds.items())))
        return facts

    def _metric(self, name: str, value: float) -> str:
        best = f" ({self.metric_modes[name]} is the best)" if name in self.metric_modes else ""
        return f"{name} {value:.6g}{best}"

    def to_json(self) -> str:
        """The whole report as JSON; :meth:`from_json` reads it back."""
        return _ADAPTER.dump_json(self, indent=2).decode()

    @staticmethod
    def from_json(text: str | bytes) -> ExportReport:
        """A report out of :meth:`to_json`. Raises ``pydantic.ValidationError`` on anything else."""
        return _READING.validate_json(text)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries, lists, numbers and strings."""
        plain: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return plain


_MOST = 2**63


def _bounded(value: Any) -> Any:
    """A part of a manifest as JSON has it. Raises ``ValueError`` for a whole number beyond 64 bits."""
    if isinstance(value, int) and not -_MOST <= value < _MOST:
        raise ValueError("a number has more than 64 bits")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _bounded(part)
    return value


def _plausible(report: ExportReport) -> ExportReport:
    """Raises ``ValueError`` for what no export can have written."""
    if not all(abs(interval.begin) < _MOST and abs(interval.seconds) < _MOST for interval in report.intervals):
        raise ValueError("an interval has no end")
    for variable in report.plan.variables if report.plan is not None else ():
        shapes = [shape for piece in variable.pieces for shape in (piece.offset, piece.shape)]
        shapes += [] if variable.shape is None else [variable.shape]
        if len(set(map(len, shapes))) > 1:
            raise ValueError(f"a piece of {variable.name!r} has other dimensions")
        if not all(number >= 0 for shape in shapes for number in shape) or variable.nbytes >= _MOST:
            raise ValueError(f"{variable.name!r} has an impossible shape")
    return report


_ADAPTER = TypeAdapter(ExportReport)
_READING = TypeAdapter(Annotated[ExportReport, BeforeValidator(_bounded), AfterValidator(_plausible)])


def facts_table(facts: Iterable[tuple[str, str]]) -> Table:
    """Facts and their names, as they are: brackets are brackets, nothing is obeyed, and nothing is cut off."""
    table = Table(show_header=False, box=None)
    for name, value in facts:
        table.add_row(Text(escape(name), "bold", overflow="fold"), Text(escape(value), overflow="fold"))
    return table
