"""Runs of benchmarks, as small as they can be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import job
from benchmarks.__main__ import app
from tests.support.fork_server import ForkServer

Benchmark = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    """Runs ``python -m benchmarks``: the figures that it leaves, and what it says. It leaves nothing else.

    The tasks of its jobs are forked, which spares them loading TensorFlow. Its figures are no matter here.
    """
    monkeypatch.setattr(job, "start", ForkServer.of_this_process().fork)

    def run(*command: str) -> tuple[dict[str, Any], str]:
        figures = tmp_path / "figures.json"
        more = () if command[0] == "gate" else ("--directory", str(tmp_path))
        done = CliRunner().invoke(app, [*command, "--json", str(figures), *more], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]
        return json.loads(figures.read_text()), done.output

    return run
