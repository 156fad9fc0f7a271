"""The report of an export: what happened, in numbers. Also stored with the model, as its manifest."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from autodist_saved.plan import ExportPlan
from autodist_saved.witness import Witness


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


@dataclass(frozen=True)
class ExportReport:
    """What one task did for an export.

    Attributes:
        task: the task that reports, such as ``chief:0``; ``local`` in a process without a cluster.
        path: the SavedModel's directory; None as long as it is not visible, and on every task but the chief.
        note: in words, why this task did nothing; empty on the chief.
        nbytes: bytes of the variables' data files.
        metrics: how good the model is, as its exporter was told, by name; finite numbers.
        seconds: wall time by phase, in the order in which the phases began.
        transport: for each task that holds variables by which way they came, if they could be carried: ``stream``,
            ``shared``, or ``read``, by the chief itself, from tasks that are no parameter servers of ours.
        staging: for each of these tasks what it did while the job was stopped: ``memory``, it copied them, or
            ``parked``, it did not, and the job was stopped until they had come.
        plan: the logical variables and the pieces they were made of; None where nothing was exported.
        witness: the job's progress around staging; None where nothing was exported.
        files: size and checksum of each file, by path in the model; empty as long as the model is not complete. The
            manifest itself is not among them.
    """

    task: str
    path: str | None = None
    note: str = ""
    nbytes: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    transport: dict[str, str] = field(default_factory=dict)
    staging: dict[str, str] = field(default_factory=dict)
    plan: ExportPlan | None = None
    witness: Witness | None = None
    files: dict[str, FileSum] = field(default_factory=dict)

    @property
    def global_step(self) -> int | None:
        """The job's global step when the variables were staged; None where it has none."""
        return self.witness.global_step_before if self.witness else None

    def __str__(self) -> str:
        if self.plan is None:
            return self.note or f"{self.task} has not exported anything"
        step = "" if self.global_step is None else f" of step {self.global_step}"
        place = f"to {self.path}" if self.path else "and not made visible"
        seconds = sum(self.seconds.values())
        return (
            f"{len(self.plan.variables)} variables{step}, {self.nbytes:,} bytes, exported {place} in {seconds:.1f} s"
        )

    def facts(self) -> list[tuple[str, str]]:
        """What people ask first, each with its name."""
        facts = [("exported by", self.task)]
        if self.plan is not None:
            facts.append(("variables", f"{len(self.plan.variables)}, {self.nbytes:,} bytes"))
            facts.append(("held by", ", ".join(self.plan.tasks())))
        for name, ways in (("staging", self.staging), ("transport", self.transport)):
            if ways:
                facts.append((name, ", ".join(f"{task} {way}" for task, way in ways.items())))
        if self.witness is not None:
            facts += self.witness.facts()
        if self.metrics:
            facts.append(("metrics", ", ".join(f"{name} {value:.6g}" for name, value in self.metrics.items())))
        if self.seconds:
            facts.append(("seconds", ", ".join(f"{phase} {secs:.3f}" for phase, secs in self.seconds.items())))
        return facts

    def to_json(self) -> str:
        """The whole report as JSON; :meth:`from_json` reads it back."""
        return _ADAPTER.dump_json(self, indent=2).decode()

    @staticmethod
    def from_json(text: str | bytes) -> ExportReport:
        """A report out of :meth:`to_json`. Raises ``pydantic.ValidationError`` on anything else."""
        return _ADAPTER.validate_json(text)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries, lists, numbers and strings."""
        plain: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return plain


_ADAPTER = TypeAdapter(ExportReport)
