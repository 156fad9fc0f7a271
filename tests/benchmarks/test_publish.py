"""A server that polls a job's versions sees whole ones that only grow; the benchmark that looks can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.publish import complaints
from benchmarks.publish_watch import Seen
from tests.benchmarks.benchmark import run


def test_every_version_loads_when_it_appears(tmp_path: Path) -> None:
    small = ["--secs", "10", "--every-secs", "1", "--directory", str(tmp_path)]
    measured, shown = run(tmp_path, "publish", *small)
    assert len(measured["loaded"]) + len(measured["missed"]) == len(measured["published"]) > 2
    assert measured["failed"] == {}
    assert measured["half_written"] == measured["out_of_order"] == measured["unseen"] == []
    assert measured["most_at_once"] <= measured["keep"] + 1
    assert measured["steps"] > 0
    assert "half written" in shown


def test_what_is_wrong_with_versions_is_seen(tmp_path: Path) -> None:
    def model(number: int) -> None:
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "saved_model.pb").write_bytes(b"no graph")

    seen = Seen()
    model(2)
    (tmp_path / "3").mkdir()
    (version,) = seen.look(tmp_path)
    seen.load(version, {})
    model(1)
    assert [path.name for path in seen.look(tmp_path)] == ["1"]
    (tmp_path / "2" / "saved_model.pb").unlink()
    seen.load(tmp_path / "2", {})
    assert list(seen.failed) == seen.missed == [2]
    assert seen.half_written == [3]
    assert seen.out_of_order == [1]
    assert seen.most_at_once == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, []),
        ({"failed": {"2": "no graph"}}, ["did not load or answer: {'2': 'no graph'}"]),
        ({"half_written": [2], "out_of_order": [1]}, ["no models when they appeared: [2]", "a greater one", ": [1]"]),
        ({"unseen": [3]}, ["never seen: [3]"]),
        ({"most_at_once": 7}, ["7 versions at once, though 5 are kept"]),
        ({"loaded": {}}, ["nothing is shown"]),
    ],
)
def test_anything_wrong_is_a_failure(wrong: dict[str, object], said: list[str]) -> None:
    fine = {"loaded": {"1": 7}, "failed": {}, "half_written": [], "out_of_order": [], "unseen": []}
    found = "\n".join(complaints({**fine, "most_at_once": 6, "keep": 5, **wrong}))
    assert all(words in found for words in said)
    assert bool(found) == bool(said)
