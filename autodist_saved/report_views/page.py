"""Renders the HTML page about a model, from the model, its manifest and a template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.filesize import decimal

from autodist_saved.bundle.entry import Entry
from autodist_saved.report.report import ExportReport
from autodist_saved.report_views.server_map import ServerMap
from autodist_saved.report_views.shares import Largest, percent
from autodist_saved.report_views.timeline_chart import TimelineChart
from autodist_saved.saved_models.provenance import writer_of
from autodist_saved.saved_models.saved_model import SavedModel
from autodist_saved.system.escape import escape

_SHOWN = 100
# Facts that have their own place on the page, and are not repeated in the list of facts.
ELSEWHERE = {
    "one moment",
    "training stood still",
    "streamed",
    "seconds",
    "memory",
    "staging",
    "transport",
    "steps of tasks",
}


@dataclass(frozen=True)
class TaskFacts:
    """What an export did on one task, as texts. A text is empty if the fact is not known."""

    task: str
    steps: str
    staging: str
    transport: str
    resident: str
    staged: str
    grown: str


def render(model: SavedModel) -> bytes:
    """Render one HTML page about a model, in UTF-8. The page loads no other files and contains no script.

    The size of the page is bounded: of a long list it shows the 100 largest items and the sum of the others.
    """
    entries = model.variables.entries.values() if model.variables is not None else ()
    report = model.manifest
    plan = report.plan if report is not None else None
    planned = plan.variables if plan is not None and model.variables is None else ()
    stored = {one.name: one.nbytes for one in (*entries, *planned)}
    sizes = model.sizes
    page = _environment().get_template("page.html.j2").render(
        model=model,
        title=" / ".join(model.files.root.resolve().parts[-2:]),
        writer=writer_of(model),
        report=report,
        facts=[fact for fact in report.facts() if fact[0] not in ELSEWHERE] if report is not None else (),
        timeline=TimelineChart.of(report) if report is not None and report.intervals else None,
        map=ServerMap.of(plan, stored) if plan is not None and plan.variables else None,
        tasks=_tasks(report) if report is not None else (),
        variables=Largest.of(entries, _nbytes, _SHOWN),
        variable_count=len(stored),
        variable_nbytes=sum(stored.values()),
        files=Largest.of(sizes.items(), lambda item: item[1], _SHOWN),
        file_nbytes=sum(sizes.values()),
        shown=_SHOWN,
    )  # fmt: skip
    return page.encode("utf-8", "backslashreplace")  # names may contain bytes that are not UTF-8


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("autodist_saved", "report_views"),
        autoescape=True,
        finalize=lambda value: escape(value) if isinstance(value, str) else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=decimal, breakable=_breakable)
    environment.globals.update(percent=percent)
    return environment


def _breakable(name: str) -> Markup:
    """A name in which the browser may break the line after each slash."""
    return Markup("/<wbr>").join(name.split("/"))


def _nbytes(entry: Entry) -> int:
    return entry.nbytes


def _tasks(report: ExportReport) -> list[TaskFacts]:
    steps = report.witness.steps if report.witness is not None else {}
    names = dict.fromkeys([*steps, *report.memory, *report.staging])
    return [
        TaskFacts(
            name,
            f"{steps[name]:,}" if name in steps else "",
            report.staging.get(name, ""),
            report.transport.get(name, ""),
            *_memory(report, name),
        )
        for name in names
    ]


def _memory(report: ExportReport, task: str) -> tuple[str, str, str]:
    if task not in report.memory:
        return "", "", ""
    memory = report.memory[task]
    resident, staged, grown = (
        "" if nbytes is None else decimal(nbytes) for nbytes in (memory.resident, memory.staged, memory.grown)
    )
    return resident, staged, grown
