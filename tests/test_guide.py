"""What docs/guide.md shows is run as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "guide.md").read_text()
STATUS = {"diff": 1}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the program of the page has left its models."""
    models = tmp_path_factory.mktemp("models")
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    program = models / "program.py"
    program.write_text("".join(blocks).replace("/models", str(models)))
    done = subprocess.run(
        [sys.executable, program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=150
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"{models}/table/") >= 1
    return models


def test_the_program_leaves_its_models(models: Path) -> None:
    assert {path.name for path in models.iterdir() if path.is_dir()} == {"serving", "both", "beside", "table", "best"}
    assert (models / "beside" / "assets.extra" / "about" / "README.txt").exists()
    for base in ("table", "best"):
        assert (models / base / "latest" / "saved_model.pb").exists()


@pytest.mark.parametrize("command", re.findall(r"^    autodist-saved (.*)$", GUIDE, re.MULTILINE))
def test_the_commands_run(models: Path, command: str) -> None:
    program = Path(sys.executable).with_name("autodist-saved")
    words = command.replace("/models", str(models)).split()
    done = subprocess.run([program, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == STATUS.get(words[0], 0), done.stderr
