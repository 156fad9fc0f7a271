"""``scripts/debian_packages``: what root gets, and what everybody else is told, where this and that is absent."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/debian_packages"
ALL = ["chromium", "chromedriver", "g++", "ip", "nft"]


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A directory that is all of PATH: a shell, and apt-get, which writes down what it is asked for."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "sh").symlink_to(Path(shutil.which("sh") or "").resolve())
    write(place, "apt-get", f'echo "$@" >> {tmp_path / "asked"}')
    return place


def write(place: Path, name: str, body: str) -> None:
    (place / name).write_text(f"#!/bin/sh\n{body}\n")
    (place / name).chmod(0o755)


def run(commands: Path, target: str, *, uid: int, present: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """The script on a machine with these commands; ``python`` stands for a Python that can make environments."""
    write(commands, "id", f"echo {uid}")
    for name in present:
        write(commands, name, "exit 0")
    environ = {"PATH": str(commands), "PYTHON": "python"}
    return subprocess.run([SCRIPT, target], env=environ, capture_output=True, text=True)


def asked(commands: Path) -> list[str]:
    record = commands.parent / "asked"
    return record.read_text().splitlines() if record.exists() else []


@pytest.mark.parametrize("uid", [0, 1000])
def test_where_all_is_there_nobody_is_asked(commands: Path, uid: int) -> None:
    done = run(commands, "test", uid=uid, present=["python", *ALL])
    assert (done.returncode, done.stdout, done.stderr, asked(commands)) == (0, "", "", [])


def test_the_demo_needs_no_browser(commands: Path) -> None:
    assert run(commands, "demo", uid=1000, present=["python"]).returncode == 0


def test_root_gets_what_is_absent_and_nothing_else(commands: Path) -> None:
    done = run(commands, "test", uid=0, present=["chromium", "ip", "nft"])
    assert done.returncode == 0, done.stderr
    assert asked(commands) == [
        "update -qq",
        "install -y -qq --no-install-recommends python3 python3-venv chromium-driver g++",
    ]


def test_everybody_else_is_told_the_line_to_run(commands: Path) -> None:
    done = run(commands, "test", uid=1000, present=["python", "g++", "ip", "nft"])
    assert done.returncode == 1
    line = "apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver"
    assert line in [each.strip() for each in done.stderr.splitlines()]
    assert asked(commands) == []


def test_root_of_another_system_is_told_too(commands: Path) -> None:
    (commands / "apt-get").unlink()
    done = run(commands, "demo", uid=0, present=[])
    assert done.returncode == 1
    assert "python3 python3-venv" in done.stderr


def test_a_python_of_ones_own_is_asked(commands: Path) -> None:
    write(commands, "python", "exit 1")
    assert run(commands, "demo", uid=1000, present=[]).returncode == 1
