"""``autodist-saved report``: one page about any model."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from autodist_saved.cli.main import app
from autodist_saved.errors import TargetUnwritableError, UsageError
from tests.support.command_line import run
from tests.support.saved_models import KINDS, write_ours

ROOT = Path(__file__).parent.parent.parent


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def text_of(page: Path) -> str:
    """What is between the tags, in one line."""
    body = re.sub(r"<style>.*?</style>", "", page.read_text(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


@pytest.mark.parametrize(("write", "writer"), KINDS.values(), ids=KINDS)
def test_every_kind_of_model_has_a_page(tmp_path: Path, write: Callable[[Path], Path], writer: str) -> None:
    done = report(write(tmp_path / "1"), "-o", tmp_path / "page.html")
    assert done.exit_code == 0, done.exception
    text = text_of(tmp_path / "page.html")
    assert f"written by {writer}" in text
    assert ("This model has no manifest" in text) == (writer != "autodist_saved")
    assert "<script" not in (tmp_path / "page.html").read_text()


def test_the_page_tells_what_the_export_did(tmp_path: Path) -> None:
    model = write_ours(tmp_path / "1", table=np.zeros([6, 2]))
    assert report(model, "-o", tmp_path / "page.html").exit_code == 0
    text = text_of(tmp_path / "page.html")
    for told in (
        "Global step 7",
        "One moment of the training",
        "table float64 [6, 2] 96 bytes",
        "serving_default &middot; tensorflow/serving/predict",
        "takes x float32 [?, 2] x:0",
        "worker:0 8",
        "variables/ variables.index",
        f"{tmp_path}/1 (LocalTarget)",
    ):
        assert told in text, text


def test_as_json_it_is_every_figure_and_the_page_is_written_too(tmp_path: Path) -> None:
    model, page = write_ours(tmp_path / "1"), tmp_path / "page.html"
    told = json.loads(report(model, "--json", "-o", page).stdout)
    assert (told["path"], told["page"]) == (str(model), str(page))
    assert told["report"] == json.loads((model / "assets.extra/autodist_saved/manifest.json").read_text())
    assert told["report"]["stall_seconds"] > 0
    assert page.exists()


def test_without_json_the_figures_are_a_table(tmp_path: Path) -> None:
    done = report(write_ours(tmp_path / "1"), "-o", tmp_path / "page.html")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == f"page {tmp_path}/page.html"
    assert "global step 7" in lines


def test_thousands_of_variables_are_a_small_page(tmp_path: Path) -> None:
    values = np.zeros(2, np.float32)
    many = {f"tower_{number}/layer/kernel": values for number in range(3000)}
    report(write_ours(tmp_path / "1", **many), "-o", tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 200_000
    assert "and 2,901 smaller variables, 23.2 kB together" in text_of(tmp_path / "page.html")


def test_names_that_are_no_text_are_shown(tmp_path: Path) -> None:
    model = write_ours(tmp_path / "1")
    (model / "assets.extra" / "caf\udce9").touch()
    assert report(model, "-o", tmp_path / "page.html").exit_code == 0
    assert "assets.extra/ caf\\udce9" in text_of(tmp_path / "page.html")


def test_a_page_tells_of_damaged_variables_and_what_the_manifest_knows(tmp_path: Path) -> None:
    model, page = write_ours(tmp_path / "1"), tmp_path / "page.html"
    (data,) = (model / "variables").glob("*.data-*")
    data.write_bytes(b"")
    done = run("report", model, "-o", page)
    assert done.status == 6
    assert f"{data}: it has 0 bytes" in done.stderr
    assert f"what can be read is in {page}" in done.stderr
    text = text_of(page)
    for told in ("Damaged:", "it has 0 bytes", "Global step 7", "Variables 1 8 bytes", "No variables can be read"):
        assert told in text, text


def test_a_page_tells_of_a_damaged_manifest_and_what_the_files_know(tmp_path: Path) -> None:
    model, page = write_ours(tmp_path / "1"), tmp_path / "page.html"
    (model / "assets.extra/autodist_saved/manifest.json").write_text("{")
    assert run("report", model, "-o", page).status == 6
    text = text_of(page)
    for told in ("the manifest is damaged", "The manifest of this model cannot be read", "w float32 [2, 1] 8 bytes"):
        assert told in text, text


def test_where_there_is_no_model_there_is_no_page(tmp_path: Path) -> None:
    done = report(tmp_path / "nothing", "-o", tmp_path / "page.html")
    assert isinstance(done.exception, UsageError)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("file/page.html", "a file is in the way of a directory; choose another"),
        ("nowhere/page.html", "there is no such file or directory; make the directory, or choose another"),
        ("1", "a directory is in the way of a file; choose another name"),
    ],
)
def test_a_page_that_cannot_be_written_names_its_place_and_what_to_do(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "file").touch()
    done = report(write_ours(tmp_path / "1"), "-o", tmp_path / place)
    assert isinstance(done.exception, TargetUnwritableError)
    assert said in str(done.exception)
    assert f"{tmp_path}/{place}" in str(done.exception)


def test_a_page_may_go_to_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = write_ours(tmp_path / "1")
    report(model, "-o", "page.html")
    assert report(model, "-o", "-").stdout_bytes == (tmp_path / "page.html").read_bytes()
    done = report(model, "-o", "-", "--json")
    assert isinstance(done.exception, UsageError)
    assert "cannot both go to standard output" in str(done.exception)
    assert not (tmp_path / "-").exists()


def test_the_wheel_has_what_the_page_is_made_of(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = zipfile.ZipFile(wheel).namelist()
    assert {"autodist_saved/report_views/page.html.j2", "autodist_saved/report_views/style.css"} <= set(inside)
