"""Files of a model that are not files keep no command busy, lead it out of no model, and end it with no traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from tests.support.command_line import run
from tests.support.hostile_files import HOSTILE, LONG
from tests.support.saved_models import write_ours, write_v1

MANIFEST = "assets.extra/autodist_saved/manifest.json"
GRAPHS, INDEX = "saved_model.pb", "variables/variables.index"
DATA, ASSET = "variables/variables.data-00000-of-00001", "assets/words.txt"
COMMANDS = {
    "inspect": "inspect PLACE",
    "verify": "verify PLACE",
    "verify a copy": "verify GOOD --against PLACE",
    "diff": "diff PLACE GOOD",
    "report": "report PLACE -o PAGE",
}
IGNORED = {
    "inspect": {ASSET},
    "report": {ASSET},
    "diff": {ASSET, MANIFEST},
    "verify a copy": {GRAPHS, INDEX, DATA, ASSET},
}
"""What a command does not need for its answer."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ours(tmp_path_factory.mktemp("good") / "1")


@pytest.fixture
def place(tmp_path: Path, good: Path) -> Path:
    """A copy, reached by a link, as ``latest`` is."""
    shutil.copytree(good, tmp_path / "1")
    (tmp_path / "latest").symlink_to("1")
    return tmp_path / "latest"


def said_of(command: str, place: Path, good: Path, *more: str) -> Any:
    places = {"PLACE": place, "GOOD": good, "PAGE": place.parent / "page.html"}
    return run(*(places.get(word, word) for word in COMMANDS[command].split()), *more)


@pytest.mark.parametrize(
    ("kind", "name"),
    # Data files and assets have any size; the next test has what is not read of them.
    [
        (kind, name)
        for kind in HOSTILE
        for name in (GRAPHS, INDEX, DATA, ASSET, MANIFEST)
        if kind != LONG or name not in {DATA, ASSET}
    ],
)
def test_they_are_damage(place: Path, good: Path, kind: str, name: str) -> None:
    (place / name).unlink()
    make, said = HOSTILE[kind]
    make(place / name)
    for command in COMMANDS.keys() - {one for one, names in IGNORED.items() if name in names}:
        done = said_of(command, place, good)
        if kind == "link to nothing":
            # Then it has no graph, which is no model; or no manifest, and another program has made it.
            assert done.status in {2, 6} if name != MANIFEST or command == "verify a copy" else {0}
        else:
            assert done.status == 6, (command, done)
            assert said in done.stderr or command == "diff", (command, done)
        assert "root:" not in done.stdout + done.stderr, "of /etc/passwd"


@pytest.mark.parametrize("name", [DATA, ASSET])
def test_no_more_is_read_than_was_exported(place: Path, name: str) -> None:
    (place / name).unlink()
    HOSTILE[LONG][0](place / name)
    done = run("verify", place)
    assert done.status == 6
    assert "it has 214,748,364,800 bytes, and " in done.stderr


def test_a_model_behind_a_link_is_whole(place: Path, good: Path) -> None:
    for command in COMMANDS:
        assert said_of(command, place, good).status == 0


def test_links_in_a_model_may_lead_to_its_own_files(place: Path, good: Path) -> None:
    (place / "variables").rename(place / "elsewhere")
    (place / "variables").symlink_to("elsewhere")
    (place / "assets" / "words.txt").rename(place / "words")
    (place / "assets" / "words.txt").symlink_to("../words")
    assert said_of("verify", place, good).status == 0


@pytest.mark.parametrize("kind", ["pipe", "link to a device", LONG])
@pytest.mark.parametrize("name", ["fingerprint.pb", "variables/variables.index"])
def test_tensorflow_is_not_asked_about_them_either(tmp_path: Path, kind: str, name: str) -> None:
    """It reads the files behind a fingerprint that no manifest covers."""
    place = write_v1(tmp_path / "1")
    shutil.copy(write_ours(tmp_path / "ours") / "fingerprint.pb", place)
    (place / name).unlink()
    HOSTILE[kind][0](place / name)
    done = run("verify", place)
    assert done.status == 6
    assert HOSTILE[kind][1] in done.stderr


@pytest.mark.parametrize("name", ["/etc/passwd", "../../outside", "a/../../outside", ""])
def test_an_asset_whose_name_leads_out_is_damage(tmp_path: Path, name: str) -> None:
    place = write_v1(tmp_path / "1")
    (tmp_path / "outside").write_text("exists")
    file = place / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    saved_model.meta_graphs[0].asset_file_def.add(filename=name)
    file.write_bytes(saved_model.SerializeToString())
    done = run("verify", place)
    assert done.status == 6
    assert "a graph reads it, and the name leads out of the model" in done.stderr


@pytest.mark.parametrize("name", ["/proc/kmsg", "/etc/passwd", "../outside", "variables/../../outside", "/dev/zero"])
@pytest.mark.parametrize("command", ["inspect", "verify", "report"])
def test_a_manifest_tells_nothing_of_files_elsewhere(place: Path, good: Path, command: str, name: str) -> None:
    (place.parent / "outside").write_bytes(b"twelve bytes")
    told = json.loads((place / MANIFEST).read_text())
    told["files"][name] = {"nbytes": 0, "crc32c": 1}
    (place / MANIFEST).write_text(json.dumps(told))
    done = said_of(command, place, good)
    assert done.status == 6
    assert "is not the name of a file in the model" in done.stderr
    assert "bytes, and 0 were" not in done.stderr
