"""``autodist-saved inspect``: what people ask of a model, and what it says where there is nothing to tell."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from autodist_saved.cli.main import app
from autodist_saved.errors import BundleError, UsageError
from autodist_saved.export import Export
from autodist_saved.options import ExportOptions
from autodist_saved.publish.local import LocalTarget
from autodist_saved.testing import ArraySource
from tests.meta_graphs import request
from tests.recording_cut import RecordingCut


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "1"
    export = Export("chief:0", LocalTarget(place), ExportOptions())
    export.capture(request(), ArraySource({"table": np.zeros([6, 2])}, parts=2, global_step=7), RecordingCut())
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
        "workers that died 1: each may have left a part of a step",
        "variables 1, 96 bytes",
        "table float64 [6, 2] ps:0, ps:1",
    ):
        assert line in lines, shown.stdout


def test_as_json_it_is_the_manifest(model: Path) -> None:
    shown = CliRunner().invoke(app, ["inspect", "--json", str(model)])
    assert json.loads(shown.stdout) == json.loads((model / "assets.extra/autodist_saved/manifest.json").read_text())


@pytest.mark.parametrize(
    ("manifest", "said"), [(None, "a model that this package has exported"), ("{", "is damaged")]
)
def test_what_is_no_model_of_ours_is_said(tmp_path: Path, manifest: str | None, said: str) -> None:
    if manifest is not None:
        (tmp_path / "assets.extra/autodist_saved").mkdir(parents=True)
        (tmp_path / "assets.extra/autodist_saved/manifest.json").write_text(manifest)
    caught = CliRunner().invoke(app, ["inspect", str(tmp_path)]).exception
    assert isinstance(caught, UsageError if manifest is None else BundleError)
    assert said in str(caught)


def test_it_loads_no_tensorflow(model: Path) -> None:
    code = (
        f"import sys; sys.argv[1:] = ['inspect', {str(model)!r}]\n"
        "from autodist_saved.cli.main import main\n"
        "try: main()\n"
        "finally: print('loaded:', sorted({'tensorflow', 'grpc'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded: []\n")
