"""inspect, verify and diff on whatever is in a directory: the right status, words that help, never a traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from typer.testing import CliRunner

from autodist_saved.cli.exit_status import exit_status
from autodist_saved.cli.main import app
from autodist_saved.errors import AutodistSavedError
from tests.support.bundles import write_bundle
from tests.support.places import PROGRAM
from tests.support.saved_models import KINDS


def run(*arguments: str | Path) -> tuple[int, str]:
    """The status with which the program ends and what it says; anything but an error of ours is raised."""
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if done.exception is None or isinstance(done.exception, SystemExit):
        return done.exit_code, done.output
    if not isinstance(done.exception, AutodistSavedError):
        raise done.exception
    return exit_status(done.exception), str(done.exception)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("models")
    return {kind: write(base / str(number)) for number, (kind, (write, _)) in enumerate(KINDS.items())}


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_model_is_shown_and_found_whole(models: dict[str, Path], kind: str) -> None:
    status, said = run("inspect", models[kind])
    assert status == 0
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert f"written by {KINDS[kind][1]} (TensorFlow {tf.__version__})" in lines
    assert any(line.startswith("signature serving_default tensorflow/serving/predict") for line in lines)
    assert any("float32 [2, 1] 8 0" in line for line in lines), "its weights, their bytes and their data file"
    assert run("verify", models[kind]) == (0, f"{models[kind]} is whole\n")
    assert run("diff", models[kind], models[kind]) == (0, "no difference\n")


@pytest.mark.parametrize("left", [0.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_cut_short_is_named(models: dict[str, Path], tmp_path: Path, kind: str, left: float) -> None:
    for path in [path for path in models[kind].rglob("*") if path.is_file()]:
        name = path.relative_to(models[kind])
        copy = shutil.copytree(models[kind], tmp_path / str(len(list(tmp_path.iterdir()))))
        (copy / name).write_bytes(path.read_bytes()[: int(path.stat().st_size * left)])
        status, said = run("verify", copy)
        known = name.parts[0] != "assets" or kind.startswith("ours")
        assert status == (6 if known else 0), (name, said)
        assert not known or name.name in said, said
        assert run("inspect", copy)[0] in {0, 6}
        needed = name.name not in {"words.txt", "fingerprint.pb", "manifest.json"}
        assert run("diff", models[kind], copy)[0] == (6 if needed else int(name.name == "words.txt"))
        shutil.rmtree(copy)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_missing_is_named(models: dict[str, Path], tmp_path: Path, kind: str) -> None:
    for path in [path for path in models[kind].rglob("*") if path.is_file()]:
        name = path.relative_to(models[kind])
        copy = shutil.copytree(models[kind], tmp_path / str(len(list(tmp_path.iterdir()))))
        (copy / name).unlink()
        # Without a manifest it is another program's model, without a fingerprint one of TensorFlow's older days.
        needed = name.name != "manifest.json" and (name.name != "fingerprint.pb" or kind.startswith("ours"))
        expected = 6 if needed else 0
        status, said = run("verify", copy)
        assert status == expected, (name, said)
        assert not expected or name.name in said, said
        shutil.rmtree(copy)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nothing", "there is no "),
        ("too long a name", "File name too long"),
        ("an empty directory", "is empty"),
        ("a file", "is no directory; name the directory"),
        ("something else", "it has no saved_model.pb, and contains a.txt, b.txt"),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "verify", "diff"])
def test_what_is_no_model_is_told_from_one(
    models: dict[str, Path], tmp_path: Path, command: str, what: str, said: str
) -> None:
    place = tmp_path / ("n" * 300 if what == "too long a name" else "place")
    if what == "a file":
        place.touch()
    elif what not in {"nothing", "too long a name"}:
        place.mkdir()
    if what == "something else":
        (place / "b.txt").touch()
        (place / "a.txt").touch()
    status, message = run(command, *([models["ours"]] if command == "diff" else []), place)
    assert status == (3 if what == "too long a name" else 2)
    assert said in message
    assert str(place) in message


@pytest.mark.parametrize(("command", "status"), [("inspect", 0), ("verify", 0), ("diff", 0)])
def test_of_a_base_of_versions_the_newest_is_named(
    models: dict[str, Path], tmp_path: Path, command: str, status: int
) -> None:
    for version in ("2", "10", "9"):
        shutil.copytree(models["ours"], tmp_path / version)
    (tmp_path / "latest").symlink_to("10")
    ended, said = run(command, tmp_path, *([models["ours"]] if command == "diff" else []))
    assert ended == status
    assert str(tmp_path / "10") in said


@pytest.mark.parametrize("command", ["inspect", "verify", "diff"])
@pytest.mark.parametrize("arguments", [["--help"], []])
def test_reading_a_model_loads_no_tensorflow(models: dict[str, Path], command: str, arguments: list[str]) -> None:
    """But for a fingerprint or a graph as text, of which TensorFlow alone knows enough."""
    named = arguments or [str(models["ours"])] * (2 if command == "diff" else 1)
    code = (
        f"import sys; sys.argv[1:] = {[command, *named]!r}\n"
        "from autodist_saved.cli.main import main\n"
        "try: main()\n"
        "finally: print('loaded:', sorted({'tensorflow', 'grpc'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded: []\n")


@pytest.mark.parametrize("command", ["inspect", "verify", "diff"])
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_names_that_are_no_text_are_shown_all_the_same(
    models: dict[str, Path], tmp_path: Path, command: str, as_json: list[str]
) -> None:
    """TensorFlow writes whatever bytes a saver was given as a name."""
    place = shutil.copytree(models["TensorFlow's v1"], tmp_path / "1")
    write_bundle(place / "variables/variables", {"w": np.ones([2, 1], np.float32), "\udcff": np.zeros(1)})
    others = [models["ours"]] if command == "diff" else []
    done = subprocess.run([PROGRAM, command, *as_json, *others, place], capture_output=True, text=True, check=False)
    assert done.returncode == (1 if command == "diff" else 0), done.stderr
    assert command == "verify" or "\\udcff" in done.stdout
