"""The command line as a whole: help, version, usage and the exit status of errors."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from autodist_saved import errors
from autodist_saved.cli import main as command_line
from tests.support.command_line import heavy_imports
from tests.support.places import PROGRAM


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["launch", "--help"]])
def test_help_shows_an_example_and_imports_nothing_heavy(arguments):
    assert "autodist-saved launch cluster.yaml -- python train.py" in run(*arguments).stdout
    assert heavy_imports(*arguments) == set()


def test_the_version_imports_nothing_heavy():
    assert heavy_imports("--version") == set()


def test_launching_imports_what_reads_the_cluster_file_alone(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text("cluster: {worker: ['localhost:0']}")
    assert heavy_imports("launch", path, "--", "true") == {"yaml"}


def test_the_version_is_that_of_the_package():
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("autodist-saved 0.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["launch"], "Missing argument 'CONFIG'"),
        (["launch", "cluster.yaml"], "Missing argument '-- COMMAND'"),
        (["launch", "cluster.yaml", "--"], "Missing argument '-- COMMAND'"),
        (["launch", "--grace-secs", "-1", "cluster.yaml", "--", "true"], "--grace-secs"),
        (["launch", "cluster.yaml", "python", "--steps", "3"], "No such option: --steps"),
        (["lanch"], "No such command 'lanch'"),
    ],
)
def test_wrong_usage_says_what_is_wrong(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_an_error_of_ours_is_a_message_and_no_traceback(tmp_path):
    done = run("launch", tmp_path / "missing.yaml", "--", "true")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {tmp_path}/missing.yaml describes no cluster (1 problem)\n")
    assert "there is no such file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.AutodistSavedError, 1),
        (errors.SaverRequiredError, 2),
        (errors.LaunchError, 2),
        (errors.TargetExistsError, 3),
        (errors.UnreadableError, 3),
        (errors.TaskUnreachableError, 4),
        (errors.PlanError, 5),
        (errors.BundleError, 6),
        (errors.ModelError, 6),
        (errors.OtherModelError, 7),
    ],
)
def test_the_exit_status_tells_kinds_of_errors_apart(error, status, monkeypatch, capsys):
    def command() -> None:
        raise error("it [did] not work")

    monkeypatch.setattr(command_line, "app", command)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == status
    assert capsys.readouterr().err == "error: it [did] not work\n"
