"""``autodist-saved diff``: the status that scripts go by, and the lines that people read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from autodist_saved.cli.main import app
from tests.support.command_line import run
from tests.support.saved_models import write_ours


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    base = tmp_path_factory.mktemp("models")
    many = {f"m{number}": np.full(2, 1.0) for number in range(3)}
    more = {f"m{number}": np.full(2, 1.0 + number) for number in range(3)}
    a = write_ours(base / "1", **many, gone=np.zeros(1), z=np.zeros(1))
    b = write_ours(base / "2", **more, new=np.zeros(1), z=np.ones(1))
    return str(a), str(b)


def diff(*arguments: str) -> tuple[int, list[str], str]:
    done = CliRunner().invoke(app, ["diff", *arguments])
    return done.exit_code, [" ".join(line.split()) for line in done.stdout.splitlines()], done.stdout


def test_what_changed_is_told_the_largest_first(two: tuple[str, str]) -> None:
    status, lines, _ = diff(*two)
    assert status == 1
    assert lines == [
        "graph serve",
        "~ op Const",
        "- variable gone",
        "+ variable new",
        "value dtype shape elements relative largest",
        "z float64 [1] 1 inf 1",
        "m2 float64 [2] 2 2 2",
        "m1 float64 [2] 2 1 1",
    ]


def test_as_many_as_asked_for_are_named(two: tuple[str, str]) -> None:
    _, lines, _ = diff("--top", "1", *two)
    assert lines[-2:] == ["z float64 [1] 1 inf 1", "2 more"]


def test_as_json_it_is_all_of_it(two: tuple[str, str]) -> None:
    status, _, text = diff("--top", "0", "--json", *two)
    assert status == 1
    told = json.loads(text)
    assert told["variables"]["names"] == {"only_a": ["gone"], "only_b": ["new"], "changed": []}
    assert [one["name"] for one in told["variables"]["values"]] == ["z", "m2", "m1"]
    assert told["variables"]["values"][0]["relative"] is None, "JSON has no infinity"
    assert told["graphs"][0]["ops"]["changed"] == ["Const"]


def test_a_damaged_manifest_makes_no_difference_and_is_said(tmp_path: Path) -> None:
    a = write_ours(tmp_path / "1")
    b = shutil.copytree(a, tmp_path / "2")
    manifest = b / "assets.extra/autodist_saved/manifest.json"
    manifest.write_text("{")
    done = run("diff", a, b)
    assert (done.status, done.stdout) == (0, "no difference\n")
    assert done.stderr.startswith(f"warning: {manifest}: the manifest is damaged (Invalid JSON: EOF")


def test_a_model_is_no_different_from_itself(two: tuple[str, str]) -> None:
    assert diff(two[0], two[0]) == (0, ["no difference"], "no difference\n")
    status, _, text = diff("--json", two[0], two[0])
    assert status == 0
    assert json.loads(text)["graphs"] == []
