"""``autodist-saved prune``: what goes, what stays, and what is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from autodist_saved.cli.main import app
from autodist_saved.errors import OptionsError, RemovalError, UsageError
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.manifest import read_manifest, write_manifest
from autodist_saved.report.report import Mode
from tests.support.versions import make_version, numbers


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for number in range(1, 13):
        make_version(tmp_path, number, days_old=12 - number)
    return tmp_path


def prune(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["prune", *map(str, arguments)])


def test_it_says_what_it_removes(base: Path) -> None:
    done = prune(base, "--keep", 10)
    assert done.exit_code == 0
    assert done.stdout == f"{base}/1\n{base}/2\n"
    assert numbers(base) == list(range(3, 13))


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ([], [8, 9, 10, 11, 12]),
        (["--keep", 1, "--keep-days", 4], [9, 10, 11, 12]),
        (["--keep", 1, "--keep-every", 4], [4, 8, 12]),
    ],
)
def test_the_rules_are_those_of_retention(base: Path, rules: list[object], left: list[int]) -> None:
    assert prune(base, *rules).exit_code == 0
    assert numbers(base) == left


def measure(base: Path, **modes: Mode) -> None:
    """Three versions with an error and an accuracy, and with the modes that are given."""
    for number, error in ((1, 0.9), (2, 0.5), (3, 0.1)):
        files = SavedModelFiles(base / str(number))
        metrics = {"error": error, "accuracy": 1 - error}
        write_manifest(files, replace(read_manifest(files.root), metrics=metrics, metric_modes=modes))


@pytest.mark.parametrize(("best_is", "left"), [("max", [1, 12]), ("min", [3, 12])])
def test_the_best_stays_if_it_is_asked_for(base: Path, best_is: str, left: list[int]) -> None:
    measure(base)
    assert prune(base, "--keep", 1, "--keep-best", "error", "--best-is", best_is).exit_code == 0
    assert numbers(base) == left


@pytest.mark.parametrize("best_is", [[], ["--best-is", "min"]])
def test_the_best_is_what_the_job_has_meant(base: Path, best_is: list[str]) -> None:
    measure(base, error="min")
    assert prune(base, "--keep", 1, "--keep-best", "error", *best_is).exit_code == 0
    assert numbers(base) == [3, 12]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            ["--keep-best", "acuracy"],
            "has the metric 'acuracy'; give --keep-best one that they have: accuracy, error",
        ),
        (["--keep-best", "error", "--best-is", "max"], "the min of 'error' for the best; leave --best-is out"),
        (["--keep-best", "accuracy"], "says which 'accuracy' is the best; give --best-is max or min"),
        (["--best-is", "min"], "give --keep-best METRIC, too"),
    ],
)
def test_where_the_best_is_not_known_nothing_is_removed(base: Path, rules: list[str], said: str) -> None:
    measure(base, error="min")
    caught = prune(base, "--keep", 1, *rules).exception
    assert isinstance(caught, UsageError)
    assert said in str(caught)
    assert numbers(base) == list(range(1, 13))


def test_versions_that_were_never_measured_have_no_best(base: Path) -> None:
    caught = prune(base, "--keep", 1, "--keep-best", "error").exception
    assert "one that they have: none" in str(caught)
    assert numbers(base) == list(range(1, 13))


def test_a_dry_run_removes_nothing_and_says_that_it_would(base: Path) -> None:
    assert prune(base, "--keep", 10, "--dry-run").stdout == f"would remove {base}/1\nwould remove {base}/2\n"
    assert numbers(base) == list(range(1, 13))


def test_as_json_it_says_what_stays_too(base: Path) -> None:
    (base / "13").mkdir()
    shown = json.loads(prune(base, "--keep", 2, "--json").stdout)
    assert shown == {
        "removed": [str(base / str(number)) for number in range(1, 11)],
        "stays": [str(base / str(number)) for number in (11, 12, 13)],
        "problems": [],
    }


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["gone"], UsageError, "/gone; name the directory that holds the versions"),
        (["1/saved_model.pb"], UsageError, "is no directory"),
        (["12"], UsageError, "12 is a model itself; name the directory that holds the versions 1, 2, 3..."),
        (["12/assets.extra"], UsageError, "assets.extra has no versions in it; name the directory"),
        (["", "--keep", 0, "--keep-days", -1], OptionsError, "wrong Retention (2 problems)"),
    ],
)
def test_wrong_usage_is_said(base: Path, arguments: list[object], error: type[Exception], said: str) -> None:
    place, *rules = arguments
    caught = prune(base / str(place), *rules).exception
    assert isinstance(caught, error)
    assert said in str(caught)
    assert numbers(base) == list(range(1, 13))


def test_that_nothing_is_removed_is_said(base: Path) -> None:
    (base / "empty").mkdir()
    for place, rules, said in (
        (base, ["--keep", 12], "all of its 12 versions stay with --keep 12"),
        (base / "empty", [], "it has no versions"),
    ):
        done = prune(place, *rules)
        assert done.exit_code == 0
        assert done.stdout == f"nothing to remove from {place}: {said}\n"
    quiet = prune(base / "empty", "--json")
    assert json.loads(quiet.stdout) == {"removed": [], "stays": [], "problems": []}


def test_what_cannot_be_removed_is_an_error_here(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name == "1":
            raise PermissionError(1, "Operation not permitted", os.fspath(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    done = prune(base, "--keep", 10)
    assert isinstance(done.exception, RemovalError)
    assert [problem.place for problem in done.exception.problems] == [f"{base}/1"]
    assert done.stdout == f"{base}/2\n"
    as_json = prune(base, "--keep", 9, "--json")
    assert as_json.exit_code == 3
    shown = json.loads(as_json.stdout)
    assert shown["removed"] == [f"{base}/3"]
    assert shown["stays"][0] == f"{base}/1"
    assert shown["problems"][0]["what"] == "permission denied"


def test_it_loads_no_tensorflow(base: Path) -> None:
    code = (
        f"import sys; sys.argv[1:] = ['prune', {str(base)!r}]\n"
        "from autodist_saved.cli.main import main\n"
        "try: main()\n"
        "finally: print('loaded:', sorted({'tensorflow', 'grpc'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded: []\n")
