"""Every command, on whatever is in a directory: the exit status of its help, a fix, and JSON for programs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from autodist_saved.cli.main import app
from tests.support.command_line import Done, run
from tests.support.places import PROGRAM
from tests.support.saved_models import KINDS, write_ours

COMMANDS = {
    "inspect": "inspect PLACE",
    "verify": "verify PLACE",
    "diff": "diff PLACE PLACE",
    "diff from a good one": "diff GOOD PLACE",
    "diff to a good one": "diff PLACE GOOD",
    "report": f"report PLACE -o {os.devnull}",
    "prune": "prune PLACE --keep 1",
    "launch": "launch PLACE -- true",
    "status": "status PLACE",
    "export": "export PLACE elsewhere",
}
PRUNING = ["prune"]
OF_JOBS = ["launch", "status", "export"]
READING = [name for name in COMMANDS if name not in {*PRUNING, *OF_JOBS}]
WITH_JSON = [*READING, *PRUNING]
NO_VERSIONS = dict.fromkeys([*PRUNING, *OF_JOBS], 2)
"""A model is neither a directory of versions nor a job."""
WAY_OUT = re.compile(r"\bfix: |; (name|copy|load|choose)|\bit (is empty|holds)\b")


def copied(place: Path, model: Path) -> Path:
    return Path(shutil.copytree(model, place))


def cut_short(name: str) -> Callable[[Path, Path], Path]:
    """Half of one file is left."""

    def write(place: Path, model: Path) -> Path:
        (path,) = copied(place, model).glob(name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return place

    return write


def empty_directory(place: Path, model: Path) -> Path:
    place.mkdir()
    return place


def nothing(place: Path, model: Path) -> Path:
    return place


def file(place: Path, model: Path) -> Path:
    place.write_text("no model")
    return place


STATES: dict[str, tuple[Callable[[Path, Path], Path], dict[str, int]]] = {
    "with half of its graph": (cut_short("saved_model.pb"), dict.fromkeys(READING, 6) | NO_VERSIONS),
    "with half of its index": (cut_short("variables/variables.index"), dict.fromkeys(READING, 6) | NO_VERSIONS),
    "with half of its variables": (cut_short("variables/*.data-*"), dict.fromkeys(READING, 6) | NO_VERSIONS),
    "an empty directory": (empty_directory, dict.fromkeys(READING, 2)),
    "no directory": (nothing, dict.fromkeys([*READING, *PRUNING], 2)),
    "a file": (file, dict.fromkeys([*READING, *PRUNING], 2)),
}
"""How to make each out of a good model, and the status of commands on it; that of all others of their kind is 0."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("models")
    return {kind: write(base / str(number)) for number, (kind, (write, _)) in enumerate(KINDS.items())}


@pytest.fixture(scope="module")
def damaged(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    base = tmp_path_factory.mktemp("damaged")
    return {
        state: {kind: write(base / f"{number}-{model.name}", model) for kind, model in models.items()}
        for number, (state, (write, _)) in enumerate(STATES.items())
    }


def called(command: str, place: Path, good: Path, *more: str) -> Done:
    arguments = [{"PLACE": place, "GOOD": good}.get(word, word) for word in COMMANDS[command].split()]
    return run(arguments[0], *more, *arguments[1:])


def expected(command: str, failing: dict[str, int]) -> int:
    return 2 if command in OF_JOBS else failing.get(command, 0)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", KINDS)
def test_on_a_good_model(models: dict[str, Path], command: str, kind: str) -> None:
    done = called(command, models[kind], models[kind])
    assert done.status == expected(command, NO_VERSIONS)
    assert bool(done.stderr) == (command in NO_VERSIONS)
    assert (models[kind] / "saved_model.pb").exists(), "no version of anything"


@pytest.mark.parametrize("command", READING)
def test_on_a_directory_of_versions_it_is_about_the_newest(tmp_path: Path, command: str) -> None:
    newest = write_ours(tmp_path / "10")
    write_ours(tmp_path / "9")
    for path in (tmp_path / "9").glob("variables/*"):
        path.unlink()
    done = called(command, tmp_path, newest)
    assert done.status == 0, done
    assert f"{tmp_path} holds the versions 9, 10; this is " in done.stdout + done.stderr
    told = called(command, tmp_path, newest, "--json").told
    assert told.get("path", str(newest)) == str(newest)


@pytest.mark.parametrize("command", READING)
def test_no_line_ends_with_spaces_where_programs_read_it(models: dict[str, Path], command: str) -> None:
    done = called(command, models["ours"], models["Keras 3's"])
    assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", KINDS)
def test_on_anything_else(
    models: dict[str, Path], damaged: dict[str, dict[str, Path]], command: str, state: str, kind: str
) -> None:
    place = damaged[state][kind]
    done = called(command, place, models["ours"])
    status = expected(command, STATES[state][1])
    assert done.status == status, done
    if status:
        assert done.stderr.startswith("error: ")
        assert str(place) in done.stderr
        assert WAY_OUT.search(done.stderr), done.stderr
    else:
        assert done.stderr == ""


@pytest.mark.parametrize("command", WITH_JSON)
@pytest.mark.parametrize("state", [None, *STATES])
def test_for_programs(
    models: dict[str, Path], damaged: dict[str, dict[str, Path]], command: str, state: str | None
) -> None:
    """With the same status, and nothing else beside the JSON."""
    for kind, model in models.items():
        place = model if state is None else damaged[state][kind]
        done = called(command, place, model, "--json")
        assert done.stderr == ""
        assert done.status == expected(command, NO_VERSIONS if state is None else STATES[state][1])
        assert isinstance(done.told, dict)
        if done.status:
            assert str(place) in done.told["message"]
            assert done.told.keys() == {"error", "message", "path", "problems"}


def test_an_error_of_the_program_that_is_launched_is_no_json(tmp_path: Path) -> None:
    """What is behind ``--`` is no option of ours."""
    done = run("launch", tmp_path, "--", "true", "--json")
    assert done.status == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize("command", [command.callback.__name__ for command in app.registered_commands])
def test_help_has_an_example_that_can_be_copied(command: str) -> None:
    """Each option in it is one of the command's."""
    done = run(command, "--help")
    assert done.status == 0
    lines = [line.strip(" │") for line in done.stdout.splitlines()]
    examples = [line for line in lines if line.startswith(f"autodist-saved {command} ")]
    assert examples
    assert any(line in {"Example", "Examples"} for line in lines)
    for example in examples:
        for option in re.findall(r"(?<= )--?[a-z][a-z-]*", example.partition(" -- ")[0]):
            assert any(option in line and line not in examples for line in lines), option


@pytest.mark.parametrize(
    ("command", "state", "status"),
    [("diff", None, 0), ("inspect", "with half of its graph", 6), ("diff from a good one", "no directory", 2)],
)
def test_the_program_itself(
    models: dict[str, Path], damaged: dict[str, dict[str, Path]], command: str, state: str | None, status: int
) -> None:
    good = models["Keras 3's"]
    place = good if state is None else damaged[state]["Keras 3's"]
    words = [{"PLACE": str(place), "GOOD": str(good)}.get(word, word) for word in COMMANDS[command].split()]
    for more in ([], ["--json"]):
        done = subprocess.run([PROGRAM, *words, *more], capture_output=True, text=True, check=False)
        assert done.returncode == status
        assert "Traceback" not in done.stderr
        assert not more or json.loads(done.stdout)
