"""What users rely on when ``TF_CONFIG`` says who they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from autodist_saved.cluster import Cluster, Task
from autodist_saved.errors import ClusterConfigError

BAD_TF_CONFIGS: dict[str, tuple[str, str, str]] = {
    "empty": ("", "TF_CONFIG, line 1, column 1", "it is not JSON: Expecting value"),
    "malformed": (
        '{"cluster":\n {worker: 1}}',
        "TF_CONFIG, line 2, column 3",
        "it is not JSON: Expecting property name enclosed in double quotes",
    ),
    "a list": ("[]", "TF_CONFIG", "it is a list, not an object"),
    "no task": ('{"cluster": {"worker": ["a:1"]}}', "task", "it is missing"),
    "null task": ('{"cluster": {"worker": ["a:1"]}, "task": null}', "task", "it is missing"),
    "cluster is a list": (
        '{"cluster": ["a:1"], "task": {"type": "worker", "index": 0}}',
        "cluster",
        "it is a list, not a mapping",
    ),
    "job is a mapping": (
        '{"cluster": {"worker": {"0": "a:1"}}, "task": {"type": "worker", "index": 0}}',
        "cluster.worker",
        "it is a mapping, not a list of addresses",
    ),
    "index is a text": (
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "0"}}',
        "task.index",
        "'0' is a text, not a whole number",
    ),
    "control is bad": (
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}, "control": "a"}',
        "control",
        "'a' has no port",
    ),
}


@pytest.mark.parametrize(("text", "place", "what"), BAD_TF_CONFIGS.values(), ids=BAD_TF_CONFIGS.keys())
def test_a_bad_tf_config_is_refused_with_the_place(text: str, place: str, what: str) -> None:
    with pytest.raises(ClusterConfigError, match="TF_CONFIG") as caught:
        Cluster.from_tf_config({"TF_CONFIG": text})
    (problem,) = caught.value.problems
    assert (problem.place, problem.what) == (place, what)
    assert problem.fix


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"cluster": {"ps": ["a:1"], "ps": ["b:1"]}}', "the key 'ps' is there twice"),
        ("[" * 100_000, "a value in it cannot be read: "),
        ('{"task": {"index": ' + "9" * 5000 + "}}", "a value in it cannot be read: Exceeds the limit"),
    ],
    ids=["a job twice", "too deep", "a number too long"],
)
def test_json_that_python_cannot_take_is_refused_too(text: str, what: str) -> None:
    with pytest.raises(ClusterConfigError) as caught:
        Cluster.from_tf_config({"TF_CONFIG": text})
    assert what in str(caught.value)


def test_tf_config_goes_round(tmp_path: Path) -> None:
    told = {
        "cluster": {"worker": ["a:1", "a:2"], "ps": ["b:1"]},
        "task": {"type": "worker", "index": 1},
        "environment": "cloud",
        "rpc_layer": "grpc",
    }
    cluster = Cluster.from_tf_config({"TF_CONFIG": json.dumps(told)})
    assert (cluster.task, cluster.host_port, cluster.control_address) == (Task("worker", 1), "a:2", "a:3")
    for task in cluster.tasks:
        again = Cluster.from_tf_config({"TF_CONFIG": cluster.tf_config(task)})
        assert (again.task, again.addresses) == (task, cluster.addresses)
        assert again.control == "a:3"


@pytest.mark.parametrize("environ", [{}, {"TF_CONFIG": "{}"}, {"TF_CONFIG": '{"cluster": {}, "task": {}}'}])
def test_without_a_cluster_the_process_is_alone(environ: Mapping[str, str]) -> None:
    cluster = Cluster.from_tf_config(environ)
    assert cluster == Cluster.single()
    assert cluster.is_single
    assert cluster.is_chief
    assert cluster.control_address is None


def test_tf_config_comes_from_the_environment_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}')
    assert Cluster.from_tf_config().host_port == "a:1"
