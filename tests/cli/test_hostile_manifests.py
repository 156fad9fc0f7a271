"""Manifests that no export has written are damaged, and end no command with a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import run
from tests.support.saved_models import write_ours


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ours(tmp_path_factory.mktemp("models") / "1")


@pytest.fixture(scope="module")
def manifest(model: Path) -> str:
    return (model / "assets.extra/autodist_saved/manifest.json").read_text()


def _bytes(told: Any) -> None:
    told["nbytes"] = 10**400


def _shape(told: Any) -> None:
    told["plan"]["variables"][0]["shape"] = [2**62] * 30
    for piece in told["plan"]["variables"][0]["pieces"]:
        piece["offset"] = piece["shape"] = [2**62] * 30


def _rank(told: Any) -> None:
    told["plan"]["variables"][0]["pieces"][0].update(offset=[0], shape=[1, 2, 3])


def _piece(told: Any) -> None:
    variable = told["plan"]["variables"][0]
    variable["shape"] = [0] * 30
    for piece in variable["pieces"]:
        piece.update(offset=[0] * 30, shape=[2**62] * 30)


def _dimensions(told: Any) -> None:
    variable = told["plan"]["variables"][0]
    variable["shape"] = [1] * 65
    for piece in variable["pieces"]:
        piece.update(offset=[0] * 65, shape=[1] * 65)


def _beyond(told: Any) -> None:
    told["plan"]["variables"][0]["pieces"][0]["offset"][0] = 2


def _interval(told: Any) -> None:
    told["intervals"][0].update(begin=1e308, seconds=1e308)


@pytest.mark.parametrize("damage", [_bytes, _shape, _rank, _piece, _dimensions, _beyond, _interval])
@pytest.mark.parametrize("command", ["inspect", "verify", "report"])
def test_impossible_numbers_are_damage(model: Path, manifest: str, tmp_path: Path, command: str, damage: Any) -> None:
    told = json.loads(manifest)
    damage(told)
    (model / "assets.extra/autodist_saved/manifest.json").write_text(json.dumps(told))
    done = run(command, model, *(["-o", tmp_path / "page.html"] if command == "report" else []))
    assert done.status == 6
    assert "the manifest is damaged" in done.stderr
