"""What others have written into a model moves no cursor: not on a terminal, and not on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from tests.support.command_line import run
from tests.support.saved_models import write_ours, write_v1

HOSTILE = "\x1b]0;title\x07\x1b[31mred\x9b2J[link=there]\u202egnp.\u2066\u2028"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hostile are tags, signatures and the names of assets."""
    place = write_v1(tmp_path_factory.mktemp("models") / "1")
    file = place / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    (graph,) = saved_model.meta_graphs
    graph.meta_info_def.tags.append(HOSTILE)
    graph.signature_def[HOSTILE].CopyFrom(next(iter(graph.signature_def.values())))
    graph.asset_file_def.add(filename=HOSTILE)
    graph.meta_info_def.tensorflow_version = HOSTILE
    file.write_bytes(saved_model.SerializeToString())
    return place


@pytest.mark.parametrize("command", ["inspect", "verify", "report", "diff"])
def test_a_terminal_is_shown_control_characters_and_obeys_none(model: Path, tmp_path: Path, command: str) -> None:
    page = tmp_path / "page.html"
    further = {"report": ["-o", page], "diff": [write_v1(tmp_path / "other")]}.get(command, [])
    done = run(command, model, *further)
    said = done.stdout + done.stderr + (page.read_text() if page.exists() else "")
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\u2028"} & set(said)
    assert "\\x1b[31mred\\x9b2J" in said
    assert "\\u202egnp.\\u2066\\u2028" in said


def test_a_manifest_and_a_path_are_shown_as_names_are(tmp_path: Path) -> None:
    place = write_ours(tmp_path / "1\x1b[31m")
    manifest = place / "assets.extra/autodist_saved/manifest.json"
    manifest.write_text(manifest.read_text().replace('"chief:0"', '"\\u001b[31mred\\u009b"'))
    for command in ("inspect", "verify"):
        said = run(command, place).stdout
        assert not {"\x1b", "\x9b"} & set(said)
        assert "\\x1b[31m" in said
