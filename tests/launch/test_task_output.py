"""Lines out of bytes, and several tasks on one console."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from autodist_saved.launch.task_output import Lines, TaskOutput


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"o", b"ne", b"\n", b"\n"], ["one", ""]),
        ([b"  indented  \n"], ["  indented  "]),
        ([b"dos\r\nlines\r", b"\n"], ["dos", "lines"]),
        ([b"\r 1%\r 2%", b"\r 3%\n"], [" 3%"]),
        ([b"1%\r2%\r", b"3%\r\n"], ["3%"]),
        ([b"caf\xc3", b"\xa9\n"], ["café"]),
        ([b"\xff\n"], [r"\xff"]),
    ],
)
def test_lines_come_out_whole_however_the_bytes_arrive(chunks, expected):
    lines = Lines()
    assert [line for chunk in chunks for line in lines.feed(chunk)] == expected
    assert lines.close() == []


@pytest.mark.parametrize("data", [b"\r10%\r 20%", b"10%\r 20%\r", b"line\n10%\r 20%\r"])
def test_progress_is_what_a_terminal_would_show(data):
    lines = Lines()
    lines.feed(data)
    assert lines.progress == " 20%"


def test_a_line_begun_is_no_progress():
    lines = Lines()
    lines.feed(b"Downloading ...")
    assert lines.progress == ""
    assert lines.close() == ["Downloading ..."]


def test_a_wiped_bar_leaves_nothing():
    lines = Lines()
    lines.feed(b"\r 99%\r     \r")
    assert lines.progress == ""
    assert lines.close() == []


def test_a_stream_without_line_ends_is_cut_and_nothing_is_lost():
    lines = Lines()
    whole = [line for _ in range(50) for line in lines.feed(b"x" * 10_000)]
    assert max(map(len, whole)) == Lines.LONGEST_BYTES
    assert "".join([*whole, *lines.close()]) == "x" * 500_000


def test_progress_in_a_log_is_one_line_every_few_seconds_per_task():
    file, now = io.StringIO(), 0.0
    with TaskOutput(Console(file=file), ["worker:0", "ps:0"], clock=lambda: now) as output:
        for step in range(12):
            now = step * 1.0
            output.progress("worker:0", f"{step}%")
        output.progress("ps:0", "waits")
        output.progress("ps:0", "")
    assert file.getvalue().splitlines() == [
        "worker:0 | 0%",
        "worker:0 | 5%",
        "worker:0 | 10%",
        "ps:0     | waits",
    ]


def test_lines_are_neither_wrapped_nor_read_as_markup():
    file = io.StringIO()
    with TaskOutput(Console(file=file, width=40), ["worker:0"]) as output:
        output.lines("worker:0", ["[bold]" + "word " * 30 + ":smile:", "\x1b[31mred\x1b[0m"])
    assert file.getvalue() == "worker:0 | [bold]" + "word " * 30 + ":smile:\nworker:0 | red\n"


def test_each_task_has_its_colour_and_keeps_its_own_colours():
    file = io.StringIO()
    with TaskOutput(Console(file=file, force_terminal=True, color_system="standard"), ["worker:0", "ps:0"]) as output:
        output.lines("worker:0", ["a"])
        output.lines("ps:0", ["\x1b[31mred\x1b[0m"])
    assert file.getvalue() == "\x1b[36mworker:0 | \x1b[0ma\n\x1b[32mps:0     | \x1b[0m\x1b[31mred\x1b[0m\n"
