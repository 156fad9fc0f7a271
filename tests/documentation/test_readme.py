"""What the README says is run as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_example_trains_exports_and_loads(tmp_path: Path) -> None:
    program, *afterwards = blocks("python")
    (tmp_path / "train.py").write_text(program)
    (command,) = re.findall(r"^    (autodist-saved launch .*)$", README, re.MULTILINE)
    words = command.replace("/tmp/model", str(tmp_path / "model")).split()
    words[0] = str(Path(sys.executable).with_name("autodist-saved"))
    words[words.index("python")] = sys.executable
    words[words.index("train.py")] = str(tmp_path / "train.py")
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=150)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"b'{tmp_path}/model/saved_model.pb'" in run.stdout
    printed = []
    for block in afterwards:
        code = block.replace("/tmp/model", str(tmp_path / "model"))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert "shape=(3,)" in printed[0]
    assert int(printed[1]) > 300, "100 steps of each trainer, and 100 more"


def test_the_example_has_twenty_lines() -> None:
    assert len(blocks("python")[0].splitlines()) == 20


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(
            r"\]\((?!https?:)([^)#]+)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        ):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_command_that_is_mentioned_exists() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        assert set(re.findall(r"make (\w+)(?=`|$|  )", (ROOT / page).read_text(), re.MULTILINE)) <= targets
    for script in re.findall(r"`(scripts/\w+)`", README):
        assert (ROOT / script).exists()
