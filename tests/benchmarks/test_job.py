"""A measurement is made by processes of their own, and what one of them has to say of its failure is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autodist_saved.cluster import Cluster
from benchmarks.job import measure

PROGRAM = """
import json, os, pathlib, sys
task = json.loads(os.environ["TF_CONFIG"])["task"]
if task["type"] == "worker":
    pathlib.Path(sys.argv[1]).write_text(json.dumps({"arguments": sys.argv[2:], "process": os.getpid()}))
elif sys.argv[2] == "fail":
    sys.exit("no memory")
"""


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "measured.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_what_the_chief_has_left_is_what_was_measured() -> None:
    found = measure("measured", Cluster.local(ps=1, workers=1), ["go", "1"], timeout_secs=60)
    assert found["arguments"] == ["go", "1"]
    assert found["process"] != os.getpid()


def test_a_task_that_fails_is_named_with_its_last_words() -> None:
    with pytest.raises(RuntimeError, match="ps:0 failed\nno memory"):
        measure("measured", Cluster.local(ps=1, workers=1), ["fail"], timeout_secs=60)
