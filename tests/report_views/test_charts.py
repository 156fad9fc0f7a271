"""The charts of the page: what is where, and how long lists end."""

from __future__ import annotations

import math
from dataclasses import replace

from autodist_saved.plan import ExportPlan, LogicalVariable, Piece
from autodist_saved.report_views.page import ELSEWHERE
from autodist_saved.report_views.server_map import NAMED, ServerMap
from autodist_saved.report_views.shares import Largest, percent
from autodist_saved.report_views.timeline_chart import MEANING, TimelineChart
from tests.support.jobs.paused import PHASES
from tests.support.reports import REPORT, UNSTOPPED


def variable(name: str, rows: int, tasks: tuple[str, ...], dtype: str = "float32") -> LogicalVariable:
    part = rows // len(tasks)
    pieces = tuple(Piece(number, task, (number * part,), (part,)) for number, task in enumerate(tasks))
    return LogicalVariable(name, dtype, (rows,), pieces)


def test_shares_stay_within_the_whole_whatever_the_numbers_are() -> None:
    assert [percent(*pair) for pair in ((1, 4), (0, 0), (5, 4), (-1, 4), (math.nan, 1), (1, math.inf))] == [
        25.0,
        0.0,
        100.0,
        0.0,
        0.0,
        0.0,
    ]


def test_the_largest_are_shown_and_the_rest_is_summed_up() -> None:
    assert Largest.of([3, 1, 4, 1, 5], lambda size: size, 2) == Largest((5, 4), 3, 5)
    assert Largest.of([3], lambda size: size, 2) == Largest((3,), 0, 0)


def test_phases_are_rows_in_the_order_in_which_they_began() -> None:
    chart = TimelineChart.of(REPORT)
    assert [row.phase for row in chart.rows] == ["plan", "cut", "stage", "release", "stream"]
    (stage,) = (row for row in chart.rows if row.phase == "stage")
    assert [bar.words for bar in stage.bars] == ["0.625 s to 0.750 s", "0.750 s to 1.000 s"]
    assert stage.bars[1].begin == 50.0
    assert chart.stall is not None
    assert (chart.stall.begin, chart.stall.width) == (41.667, 33.333)
    assert TimelineChart.of(UNSTOPPED).stall is None


def test_a_partitioned_variable_has_one_colour_on_all_its_tasks() -> None:
    plan = ExportPlan((variable("small", 2, ("ps:1",)), variable("table", 40, ("ps:0", "ps:1"))))
    chart = ServerMap.of(plan, {})
    assert [(one.name, one.tone, one.nbytes, one.tasks) for one in chart.named] == [
        ("table", 0, 160, ("ps:0", "ps:1")),
        ("small", 1, 8, ("ps:1",)),
    ]
    first, second = chart.rows
    assert [(block.tone, block.words) for block in first.blocks] == [(0, "table[0:20]: 80 bytes")]
    assert [(block.tone, block.words) for block in second.blocks] == [
        (0, "table[20:40]: 80 bytes"),
        (1, "small: 8 bytes"),
    ]
    assert second.blocks[0].width + second.blocks[1].width == 100.0, "it holds most"


def test_many_pieces_are_a_few_blocks() -> None:
    plan = ExportPlan(tuple(variable(f"v{number:04}", 1, ("ps:0",)) for number in range(1000)))
    chart = ServerMap.of(plan, {})
    (row,) = chart.rows
    assert len(chart.named) == NAMED
    assert len(row.blocks) < 30
    assert row.blocks[-1].words.endswith("smaller pieces: 3,904 bytes")
    assert (row.pieces, row.nbytes) == (1000, 4000)


def test_strings_are_as_wide_as_they_are_stored() -> None:
    chart = ServerMap.of(ExportPlan((variable("words", 2, ("ps:0",), "string"),)), {"words": 30})
    assert chart.rows[0].nbytes == 30


def test_every_phase_of_an_export_is_explained() -> None:
    assert MEANING.keys() == {*PHASES, "ask"}


def test_what_has_a_place_of_its_own_is_what_a_report_tells() -> None:
    report = replace(REPORT, staging={"ps:0": "memory"}, transport={"ps:0": "stream"})
    assert {name for name, _ in report.facts()} >= ELSEWHERE
