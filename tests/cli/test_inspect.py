"""``autodist-saved inspect``: what people ask of a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from typer.testing import CliRunner

from autodist_saved.cli.main import app
from autodist_saved.errors import ModelError
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.export import Export
from autodist_saved.publish.disk.target import LocalTarget
from autodist_saved.testing import ArraySource, RecordingCut
from tests.support.command_line import heavy_imports, run
from tests.support.meta_graphs import description
from tests.support.saved_models import write_ours, write_v1


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "1"
    export = Export("chief:0", LocalTarget(place), ExportOptions())
    export.capture(description(), ArraySource({"table": np.zeros([6, 2])}, parts=2, global_step=7), RecordingCut())
    export.publish()
    return place


def test_it_tells_the_moment_and_the_variables(model: Path) -> None:
    shown = CliRunner().invoke(app, ["inspect", str(model)])
    assert shown.exit_code == 0
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    for line in (
        "one moment yes",
        "global step 7",
        "steps of tasks worker:0 8",
        "cut 3",
        "workers that died 1: each may have left a part of a step behind",
        "variables 1, 96 bytes",
        "graph serve 0 ops",
        "table float64 [6, 2] 96 0 ps:0, ps:1",
    ):
        assert line in lines, shown.stdout


def test_as_json_it_is_all_of_that_and_the_manifest(model: Path) -> None:
    told = json.loads(CliRunner().invoke(app, ["inspect", "--json", str(model)]).stdout)
    manifest = model / "assets.extra/autodist_saved/manifest.json"
    assert told["manifest"] == json.loads(manifest.read_text())
    assert told["path"] == str(model)
    assert told["written_by"] == f"autodist_saved (TensorFlow {tf.__version__})"
    assert told["variables"] == {"table": {"dtype": "float64", "shape": [6, 2], "bytes": 96, "data_files": [0]}}
    assert told["files"]["assets.extra/autodist_saved/manifest.json"] == manifest.stat().st_size
    assert [graph["tags"] for graph in told["graphs"]] == [["serve"]]


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_it_imports_what_reads_a_model_alone(model: Path, arguments: list[str]) -> None:
    assert heavy_imports("inspect", *arguments, model) == {"google.protobuf"}


def test_signatures_are_told_with_types_and_shapes(tmp_path: Path) -> None:
    told = json.loads(CliRunner().invoke(app, ["inspect", "--json", str(write_v1(tmp_path / "1"))]).stdout)
    (graph,) = told["graphs"]
    assert graph["signatures"]["serving_default"] == {
        "method": "tensorflow/serving/predict",
        "inputs": {"x": {"name": "x:0", "dtype": "float32", "shape": [None, 2]}},
        "outputs": {"y": {"name": "MatMul:0", "dtype": "float32", "shape": [None, 1]}},
    }
    assert graph["ops"]["MatMul"] == 1
    assert graph["assets"] == ["words.txt"]


def test_names_are_shown_as_they_are_and_in_full(tmp_path: Path) -> None:
    name = "tower/" * 30 + "[red]w[/]"
    shown = CliRunner().invoke(app, ["inspect", str(write_ours(tmp_path / "1", **{name: np.zeros(2)}))])
    assert f" {name} " in shown.stdout


def test_a_damaged_manifest_is_said_and_all_the_rest_is_shown(tmp_path: Path) -> None:
    place = write_ours(tmp_path / "1")
    manifest = place / "assets.extra/autodist_saved/manifest.json"
    manifest.write_text(manifest.read_text().replace('"nbytes": 8,', '"nbytes": "many",', 1))
    done = CliRunner().invoke(app, ["inspect", str(place)])
    assert isinstance(done.exception, ModelError)
    said = f"{manifest}: the manifest is damaged (nbytes: Input should be a valid integer, unable to parse string"
    assert said in str(done.exception)
    assert "written by autodist_saved" in " ".join(done.stdout.split())
    assert "serving_default" in done.stdout
    as_json = run("inspect", "--json", place)
    assert as_json.status == 6
    assert as_json.told["manifest"] is None
    assert said in as_json.told["damage"][0]
    assert as_json.told["variables"].keys() == {"w"}
