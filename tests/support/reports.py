"""A report of an export, with all that it may tell; and one of an export that stopped nobody."""

from __future__ import annotations

from datetime import UTC, datetime

from autodist_saved.plan import ExportPlan, LogicalVariable, Piece
from autodist_saved.report.report import Destination, ExportReport
from autodist_saved.report.timeline import Interval
from autodist_saved.report.witness import Witness
from autodist_saved.system.memory import TaskMemory

REPORT = ExportReport(
    "chief:0",
    path="/models/1",
    target=Destination("VersionedTarget", "/models"),
    started=datetime(2026, 7, 1, 12, 30, tzinfo=UTC),
    nbytes=8,
    intervals=(
        Interval("plan", 0.0, 0.5),
        Interval("cut", 0.5, 0.125),
        Interval("stage", 0.625, 0.125),
        Interval("stage", 0.75, 0.25),
        Interval("release", 1.0, 0.125),
        Interval("stream", 1.25, 0.25),
    ),
    memory={"chief:0": TaskMemory(2000), "ps:0": TaskMemory(3000, staged=8)},
    plan=ExportPlan((LogicalVariable("w", "float32", (2,), (Piece(0, "ps:0", (0,), (2,)),)),)),
    witness=Witness(epoch=3, steps={"chief:0": 9}, global_step_before=7, global_step_after=7),
)
UNSTOPPED = ExportReport("chief:0", intervals=REPORT.intervals, plan=REPORT.plan, witness=Witness())
