"""What docs/guide.md shows is run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autodist_saved.system.paths import path_of, store_of
from tests.support.object_store import ENVIRONMENT

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide.md").read_text()
STATUS = {"diff": 1}


@pytest.fixture(scope="module")
def environment(s3_endpoint: str) -> Iterator[dict[str, str]]:
    """Of a process that finds an empty ``s3://bucket``."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3_endpoint}.items():
            patch.setenv(name, value)
        bucket = path_of("s3://bucket")
        store_of(bucket).mkdir("bucket")
        yield {**os.environ}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """Where the program of the page has left its models."""
    models = tmp_path_factory.mktemp("models")
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    program = models / "program.py"
    program.write_text("".join(blocks).replace("/models", str(models)))
    done = subprocess.run(
        [sys.executable, program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"{models}/table/") >= 1
    assert done.stdout.endswith("['s3://bucket/table/1']\n")
    return models


def test_the_program_leaves_its_models(models: Path) -> None:
    made = {path.name for path in models.iterdir() if path.is_dir()}
    assert made == {"serving", "both", "beside", "table", "best", "logs", "asked"}
    assert (models / "beside" / "assets.extra" / "about" / "README.txt").exists()
    for base in ("table", "best"):
        assert (models / base / "latest" / "saved_model.pb").exists()
    assert list((models / "logs" / "export").iterdir())


@pytest.mark.parametrize("command", re.findall(r"^    autodist-saved (.*)$", GUIDE, re.MULTILINE))
def test_the_commands_run(models: Path, environment: dict[str, str], command: str) -> None:
    program = Path(sys.executable).with_name("autodist-saved")
    words = command.replace("/models", str(models)).split()
    done = subprocess.run(
        [program, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == STATUS.get(words[0], 0), done.stderr
