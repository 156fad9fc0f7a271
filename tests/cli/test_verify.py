"""``autodist-saved verify``: what scripts and people learn of a copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from autodist_saved.cli.main import app
from autodist_saved.errors import ModelError, OtherModelError, UsageError
from tests.support.command_line import run
from tests.support.saved_models import write_ours


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_ours(tmp_path / "1")


def test_as_json_it_tells_every_problem_and_ends_with_the_same_status(model: Path) -> None:
    whole = run("verify", "--json", model)
    assert whole.status == 0
    assert whole.told == {"path": str(model), "message": f"{model} is whole", "problems": []}
    (model / "assets/words.txt").write_text("x\ny\n")
    damaged = run("verify", "--json", model)
    assert damaged.status == 6
    assert (damaged.told["error"], damaged.told["path"]) == ("ModelError", str(model))
    (problem,) = damaged.told["problems"]
    assert problem["place"] == "assets/words.txt"
    assert "copy the model again" in problem["fix"]


@pytest.mark.parametrize("named", [".", "assets.extra/autodist_saved/manifest.json"])
def test_a_copy_is_compared_with_the_model_or_the_manifest_that_is_named(
    model: Path, tmp_path: Path, named: str
) -> None:
    other = write_ours(tmp_path / "2", w=2.0)
    assert CliRunner().invoke(app, ["verify", str(model), "--against", str(model / named)]).exit_code == 0
    done = CliRunner().invoke(app, ["verify", str(model), "--against", str(other / named)])
    assert isinstance(done.exception, OtherModelError)
    assert "variables/variables.index: its checksum differs from that of the exported file" in str(done.exception)
    assert run("verify", model, "--json", "--against", other / named).status == 7


def test_a_copy_without_its_manifest_is_compared_with_the_one_that_is_named(model: Path, tmp_path: Path) -> None:
    manifest = (model / "assets.extra/autodist_saved/manifest.json").rename(tmp_path / "manifest.json")
    (model / "assets/words.txt").write_text("x\ny\n")
    assert CliRunner().invoke(app, ["verify", str(model)]).exit_code == 0
    done = CliRunner().invoke(app, ["verify", str(model), "--against", str(manifest)])
    assert "assets/words.txt: its checksum" in str(done.exception)


def test_what_is_no_manifest_is_said(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for against, error in [
        (tmp_path / "none", ModelError),
        (tmp_path / "empty", UsageError),
        (model / "saved_model.pb", ModelError),
    ]:
        done = CliRunner().invoke(app, ["verify", str(model), "--against", str(against)])
        assert isinstance(done.exception, error)
