"""Reports: figures that are known, none that are not, and the way through JSON."""

from __future__ import annotations

import io
import json

import pydantic
import pytest
from rich.console import Console

from autodist_saved.report.report import ExportReport
from autodist_saved.report.timeline import Interval
from autodist_saved.report.witness import Witness
from tests.support.reports import REPORT, UNSTOPPED


def test_a_report_reads_back_from_json() -> None:
    assert ExportReport.from_json(REPORT.to_json()) == REPORT


def test_json_has_the_figures_that_follow_from_others() -> None:
    told = json.loads(REPORT.to_json())
    assert told["seconds"] == {"plan": 0.5, "cut": 0.125, "stage": 0.375, "release": 0.125, "stream": 0.25}
    assert told["stall_seconds"] == 0.5
    assert told["bytes_per_second"] == 32.0
    assert told["started"] == "2026-07-01T12:30:00Z"


def test_a_manifest_that_knows_less_reads_all_the_same() -> None:
    report = ExportReport.from_json('{"task": "chief:0", "nbytes": 8, "seconds": {"plan": 0.5}}')
    assert (report.nbytes, report.seconds, report.elapsed) == (8, {}, 0.0)


def test_the_step_is_the_one_at_staging() -> None:
    assert REPORT.global_step == 7
    assert ExportReport("worker:0").global_step is None


def test_a_moving_step_or_a_training_worker_speaks_against_consistency() -> None:
    assert Witness(global_step_before=7, global_step_after=7).consistent
    assert not Witness(global_step_before=7, global_step_after=8).consistent
    assert not Witness(("worker:0",)).consistent
    assert not Witness(None).consistent


def test_training_stood_still_from_the_last_that_stopped_until_all_were_let_go() -> None:
    assert REPORT.stall == Interval("stall", 0.625, 0.5)


def test_where_nobody_was_stopped_no_figure_is_made_up() -> None:
    assert UNSTOPPED.stall is None
    assert UNSTOPPED.bytes_per_second is None
    assert json.loads(UNSTOPPED.to_json())["stall_seconds"] is None
    assert ("training stood still", "not known: no cut has stopped it") in UNSTOPPED.facts()


def test_a_report_says_in_one_line_what_happened() -> None:
    assert str(REPORT) == (
        "1 variables of step 7, 8 bytes, exported to /models/1 in 1.5 s; training stood still for 0.500 s"
    )
    assert str(ExportReport("worker:0", note="does nothing")) == "does nothing"


def test_rich_shows_the_facts_as_a_table() -> None:
    shown = io.StringIO()
    Console(file=shown, width=200).print(REPORT)
    lines = [" ".join(line.split()) for line in shown.getvalue().splitlines()]
    for line in (
        "exported to /models (VersionedTarget)",
        "started 2026-07-01 12:30:00 UTC",
        "training stood still 0.500 s",
        "streamed 32 bytes per second",
        "memory chief:0 2.0 kB, ps:0 3.0 kB, 8 bytes staged",
        "seconds plan 0.500, cut 0.125, stage 0.375, release 0.125, stream 0.250",
    ):
        assert line in lines, shown.getvalue()


def test_anything_else_is_no_report() -> None:
    with pytest.raises(pydantic.ValidationError):
        ExportReport.from_json('{"path": 3}')
