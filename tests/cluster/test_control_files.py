"""What users rely on when they name the files that keep strangers away from the control service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from autodist_saved.cluster import Cluster, ControlFiles, Task
from autodist_saved.errors import ClusterConfigError

TWO = "cluster: {worker: [a:1], ps: [b:1]}\n"

# What stands under control, and of its only problem: place, what, fix.
BAD_MAPPINGS: dict[str, tuple[str, str, str, str]] = {
    "unknown key": ("{tokenfile: x}", "control.tokenfile", "'tokenfile' is no key", "did you mean token_file?"),
    "address without a port": (
        "{address: a}",
        "control.address",
        "'a' has no port",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
    "address on another machine": (
        "{address: b:9}",
        "control.address",
        "b is not the chief's host; cluster.worker[0] is on a",
        'write "a:9"; the chief runs this service',
    ),
    "address of a task": (
        "{address: a:1}",
        "control.address",
        "a:1 is the address of cluster.worker[0] already",
        "give the control service a port of its own",
    ),
    "a number for a file": (
        "{token_file: 7}",
        "control.token_file",
        "7 is no path of a file",
        "write the path, or leave the key out",
    ),
    "an empty path": (
        "{token_file: ''}",
        "control.token_file",
        "'' is no path of a file",
        "write the path, or leave the key out",
    ),
    "certificate without key": (
        "{certificate: x}",
        "control.certificate",
        "there is no control.key to go with it",
        "name the key too, or leave control.certificate out",
    ),
    "key without certificate": (
        "{key: x}",
        "control.key",
        "there is no control.certificate to go with it",
        "name the certificate too, or leave control.key out",
    ),
    "authority without certificate": (
        "{authority: x}",
        "control.authority",
        "there is no control.certificate to go with it",
        "name the certificate too, or leave control.authority out",
    ),
    "a list": (
        "[a:9]",
        "control",
        "['a:9'] is a list, not an address",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
}


@pytest.mark.parametrize(("control", "place", "what", "fix"), BAD_MAPPINGS.values(), ids=BAD_MAPPINGS.keys())
def test_a_bad_mapping_is_refused_with_the_place_and_the_fix(
    problems_of: Callable[[str], list[str]], control: str, place: str, what: str, fix: str
) -> None:
    assert problems_of(f"{TWO}control: {control}\n") == [f"{place}: {what}\n    fix: {fix}"]


def test_all_problems_of_a_mapping_are_reported_at_once(problems_of: Callable[[str], list[str]]) -> None:
    found = problems_of(f"{TWO}control: {{address: a, adress: a:1, token_file: [], authority: x}}\n")
    assert [problem.partition(":")[0] for problem in found] == [
        "control.address",
        "control.token_file",
        "control.adress",
        "control.authority",
    ]


def test_relative_paths_begin_at_the_cluster_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "below").mkdir()
    path = tmp_path / "below" / "cluster.yaml"
    path.write_text(
        f"{TWO}control: {{address: a:9, token_file: token, certificate: ../c, key: /k, authority: x/y}}\n"
    )
    expected = ControlFiles(f"{tmp_path}/below/token", f"{tmp_path}/below/../c", "/k", f"{tmp_path}/below/x/y")
    monkeypatch.chdir(tmp_path)
    for named in (path, Path("below/cluster.yaml")):
        cluster = Cluster.from_yaml(named, task="ps:0")
        assert (cluster.control_address, cluster.control_files) == ("a:9", expected)


def test_the_files_need_not_be_there_where_a_description_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(f"{TWO}control: {{token_file: /nowhere/token}}\n")
    assert Cluster.from_yaml(path).control_address == "a:2"


def test_tf_config_takes_the_files_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = {
        "cluster": {"worker": ["a:1"], "ps": ["b:1"]},
        "task": {"type": "worker", "index": 0},
        "control": {"token_file": "token"},
    }
    cluster = Cluster.from_tf_config({"TF_CONFIG": json.dumps(told)})
    assert cluster.control_files == ControlFiles(token_file=f"{tmp_path}/token")
    for task in cluster.tasks:
        text = cluster.tf_config(task)
        assert json.loads(text)["control"] == {"address": "a:2", "token_file": f"{tmp_path}/token"}
        again = Cluster.from_tf_config({"TF_CONFIG": text})
        assert (again.task, again.control, again.control_files) == (task, "a:2", cluster.control_files)


def test_a_bad_mapping_in_tf_config_is_refused_too() -> None:
    told = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}, "control": {"key": "k"}}
    with pytest.raises(ClusterConfigError, match=r"TF_CONFIG.*\n.*control.key: there is no control.certificate"):
        Cluster.from_tf_config({"TF_CONFIG": json.dumps(told)})


def test_free_ports_and_other_tasks_keep_the_files() -> None:
    files = ControlFiles("/token")
    cluster = Cluster({"worker": ("localhost:0",), "ps": ("localhost:0",)}, control_files=files)
    assert cluster.with_free_ports().for_task(Task("ps", 0)).control_files == files


def test_files_named_in_a_program_are_checked_too() -> None:
    with pytest.raises(ClusterConfigError, match="control.key: there is no control.certificate to go with it"):
        Cluster({"worker": ("a:1",)}, control_files=ControlFiles(key="k"))
    with pytest.raises(
        ClusterConfigError, match=r"control.address: \{'token_file': 'x'\} is a mapping, not an address"
    ):
        Cluster({"worker": ("a:1",)}, control={"token_file": "x"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("chief", "exposed"),
    [
        ("localhost:1", False),
        ("127.8.9.10:1", False),
        ("[::1]:1", False),
        ("10.0.0.7:1", True),
        ("trainer-0:1", True),
    ],
)
def test_a_control_service_that_is_not_on_loopback_is_exposed(chief: str, exposed: bool) -> None:
    assert Cluster({"chief": (chief,), "ps": (chief[:-1] + "2",)}).control_is_exposed is exposed


def test_a_single_task_exposes_nothing() -> None:
    assert not Cluster({"worker": ("trainer-0:1",)}).control_is_exposed
