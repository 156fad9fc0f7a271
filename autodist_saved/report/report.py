"""The report of an export: what happened, in numbers. It is also stored in the model, as its manifest."""

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

from autodist_saved.bundle.entry import is_storable
from autodist_saved.plan import ExportPlan
from autodist_saved.report.timeline import Interval
from autodist_saved.report.witness import Witness
from autodist_saved.system.escape import escape
from autodist_saved.system.foreign_files import is_path_inside
from autodist_saved.system.memory import TaskMemory

Mode = Literal["max", "min"]
"""Whether the greatest or the least value of a metric is the best."""


@dataclass(frozen=True)
class FileSum:
    """Size and checksum of a file.

    Attributes:
        nbytes: size of the file, in bytes.
        crc32c: CRC32C of its bytes, unmasked; None for data files of variables: the index of the variables contains
            the checksums of their bytes.
    """

    nbytes: int
    crc32c: int | None = None


_VERIFIED = {"none": "no", "checksums": "read back", "full": "read back, loaded and compared with the job"}


@dataclass(frozen=True)
class Destination:
    """The target of an export. The model may have been moved since.

    Attributes:
        kind: name of the target's class, such as ``VersionedTarget``.
        path: path or URL of the target; for versions, of the base directory.
    """

    kind: str
    path: str

    def __str__(self) -> str:
        return f"{self.path} ({self.kind})"


@dataclass(frozen=True)
class ExportReport:
    """What one task did for an export. A value that is not known is None, or is missing in its dictionary.

    Attributes:
        task: the task that reports, such as ``chief:0``; ``local`` in a process without a cluster.
        path: the SavedModel's directory; None before the model is published, and on every task but the chief.
        target: the target of the export.
        note: why this task did nothing, as text for people; empty on the chief.
        started: when the export began, in UTC.
        nbytes: size of the variables' data files, in bytes.
        intervals: the phases in the order in which they began. A phase may occur several times, and within another
            one: with ``parked`` staging, the phase ``release`` is within ``stream``.
        metrics: metrics of the model by name, finite numbers. The program has passed them to the export.
        metric_modes: for metrics whose best value is known: ``max`` or ``min``.
        transport: by task, how its variables came to the chief: ``stream``, ``shared``; or ``read`` if the chief read
            them itself, because the task is not a parameter server of this package.
        staging: by task, what it did while the job was stopped: ``memory``, it copied its variables; ``parked``, it
            copied nothing, and the job was stopped until the variables were transferred.
        memory: memory of the chief, and of each parameter server that staged its own variables.
        plan: the logical variables and their pieces; None if nothing was exported.
        witness: what is known about the job's progress while it was staged; None if nothing was exported.
        verified: ``none``, ``checksums`` or ``full``, as in :class:`ExportOptions`; empty before the model is
            complete.
        answers: with ``verify="full"``, for each signature whether the loaded model answers as the job does, or why
            that was not compared.
        files: size and checksum of each file but the manifest, by relative path; empty before the model is complete.
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
        """Seconds of wall time by phase, in the order in which the phases began."""
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
        """The time in which no task trained: from the stop of the last task until all tasks were released.

        Tasks that stopped earlier waited longer, by at most the time of the phase ``cut``. None if no task had to be
        stopped.
        """
        ends = {interval.phase: interval.end for interval in self.intervals}
        if self.witness is None or not self.witness.epoch or not {"cut", "release"} <= ends.keys():
            return None
        return Interval("stall", ends["cut"], ends["release"] - ends["cut"])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def stall_seconds(self) -> float | None:
        """Seconds of :attr:`stall`."""
        return None if self.stall is None else self.stall.seconds

    @computed_field  # type: ignore[prop-decorator]
    @property
    def bytes_per_second(self) -> float | None:
        """Bytes of variables per second of the phase ``stream``; None if nothing was streamed."""
        streaming = self.seconds.get("stream", 0.0)
        return self.nbytes / streaming if streaming and self.nbytes else None

    @property
    def global_step(self) -> int | None:
        """The job's global step when the variables were staged; None if the graph has none."""
        return self.witness.global_step_before if self.witness else None

    def __str__(self) -> str:
        if self.plan is None:
            return self.note or f"{self.task} has not exported anything"
        step = "" if self.global_step is None else f" of step {self.global_step}"
        place = f"to {self.path}" if self.path else "and not published"
        stall = "" if self.stall is None else f"; training stood still for {self.stall.seconds:.3f} s"
        return (
            f"{len(self.plan.variables)} variables{step}, {self.nbytes:,} bytes, exported {place} in "
            f"{self.elapsed:.1f} s{stall}"
        )

    def __rich__(self) -> Table:
        """The facts as a table, for ``rich.print``."""
        return facts_table(self.facts())

    def facts(self) -> list[tuple[str, str]]:
        """The most important facts for people, as pairs of name and text."""
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
            stall = "not known: no cut has stopped it" if self.stall is None else f"{self.stall.seconds:.3f} s"
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
        """Read a report from JSON that :meth:`to_json` has made.

        Raises:
            pydantic.ValidationError: the text is not such a report, or no export can have written its values.
        """
        return _READING.validate_json(text)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries, lists, numbers and strings."""
        plain: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return plain


_MOST = 2**63


def _bounded(value: Any) -> Any:
    """Check a part of a manifest, as JSON has it. Raises ``ValueError`` for a whole number of more than 64 bits."""
    if isinstance(value, int) and not -_MOST <= value < _MOST:
        raise ValueError("a number has more than 64 bits")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _bounded(part)
    return value


def _plausible(report: ExportReport) -> ExportReport:
    """Check the values of a manifest. Raises ``ValueError`` for values that no export can have written."""
    if not all(abs(interval.begin) < _MOST and abs(interval.seconds) < _MOST for interval in report.intervals):
        raise ValueError("an interval has no end")
    if outside := [name for name in report.files if not is_path_inside(name)]:
        raise ValueError(f"{outside[0]!r} is not the name of a file in the model")
    for variable in report.plan.variables if report.plan is not None else ():
        shapes = [variable.shape or (), *(piece.shape for piece in variable.pieces)]
        if not all(is_storable(variable.dtype, shape) for shape in shapes):
            raise ValueError(f"{variable.name!r} has an impossible shape")
        for piece in variable.pieces:
            whole = piece.shape if variable.shape is None else variable.shape
            if not len(whole) == len(piece.shape) == len(piece.offset):
                raise ValueError(f"a piece of {variable.name!r} has a different number of dimensions")
            ends = (at + extent for at, extent in zip(piece.offset, piece.shape, strict=True))
            if any(at < 0 for at in piece.offset) or any(end > most for end, most in zip(ends, whole, strict=True)):
                raise ValueError(f"a piece of {variable.name!r} lies outside its shape")
    return report


_ADAPTER = TypeAdapter(ExportReport)
_READING = TypeAdapter(Annotated[ExportReport, BeforeValidator(_bounded), AfterValidator(_plausible)])


def facts_table(facts: Iterable[tuple[str, str]]) -> Table:
    """Show facts as a table of names and texts.

    Texts are shown as they are: square brackets are no markup for ``rich``, control characters are escaped, and long
    texts are wrapped.
    """
    table = Table(show_header=False, box=None)
    for name, value in facts:
        table.add_row(Text(escape(name), "bold", overflow="fold"), Text(escape(value), overflow="fold"))
    return table
