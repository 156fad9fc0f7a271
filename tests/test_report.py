"""Reports survive the way through JSON."""

from __future__ import annotations

import pydantic
import pytest

from autodist_saved.plan import ExportPlan, LogicalVariable, Piece
from autodist_saved.report import ExportReport
from autodist_saved.witness import Witness

REPORT = ExportReport(
    "chief:0",
    path="/models/1",
    nbytes=8,
    seconds={"plan": 0.5, "commit": 1.0},
    plan=ExportPlan((LogicalVariable("w", "float32", (2,), (Piece(0, "ps:0", (0,), (2,)),)),)),
    witness=Witness(global_step_before=7, global_step_after=7),
)


def test_a_report_reads_back_from_json() -> None:
    assert ExportReport.from_json(REPORT.to_json()) == REPORT


def test_the_step_is_the_one_at_staging() -> None:
    assert REPORT.global_step == 7
    assert ExportReport("worker:0").global_step is None


def test_a_moving_step_or_a_training_worker_speaks_against_consistency() -> None:
    assert Witness(global_step_before=7, global_step_after=7).consistent
    assert not Witness(global_step_before=7, global_step_after=8).consistent
    assert not Witness(("worker:0",)).consistent
    assert not Witness(None).consistent


def test_a_report_says_in_one_line_what_happened() -> None:
    assert str(REPORT) == "1 variables of step 7, 8 bytes, exported to /models/1 in 1.5 s"
    assert str(ExportReport("worker:0", note="does nothing")) == "does nothing"


def test_anything_else_is_no_report() -> None:
    with pytest.raises(pydantic.ValidationError):
        ExportReport.from_json('{"path": 3}')
