"""What users rely on when they write a cluster file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autodist_saved.cluster import Cluster, Task
from autodist_saved.errors import ClusterConfigError

CONFIGS = Path(__file__).parents[2] / "cluster_configs"
BEGIN_WITH_CLUSTER = "begin with `cluster:`, as the files in cluster_configs/ do"

# The YAML text, and of its only problem: place, what, fix. PATH stands for the path of the file.
BAD_FILES: dict[str, tuple[str, str, str, str]] = {
    "empty": ("", "PATH", "it is empty", BEGIN_WITH_CLUSTER),
    "only comments": ("# soon\n", "PATH", "it is empty", BEGIN_WITH_CLUSTER),
    "top level a list": ("- worker\n", "PATH", "its top level is a list, not a mapping", BEGIN_WITH_CLUSTER),
    "malformed": (
        "cluster:\n  worker: [a:1\n",
        "PATH, line 3, column 1",
        "it is not YAML: expected ',' or ']', but got '<stream end>'",
        'check indentation and brackets; quote "[::1]:2222"',
    ),
    "tab": (
        "cluster:\n\tworker: [a:1]\n",
        "PATH, line 2, column 1",
        "it is not YAML: found character '\\t' that cannot start any token",
        'check indentation and brackets; quote "[::1]:2222"',
    ),
    "control character": (
        "cluster: \x07\n",
        "PATH",
        (
            "it is not YAML: unacceptable character #x0007: special characters are not allowed "
            'in "<unicode string>", position 9'
        ),
        BEGIN_WITH_CLUSTER,
    ),
    "unknown tag": (
        "cluster:\n  worker: [!env HOST]\n",
        "PATH, line 2, column 12",
        "could not determine a constructor for the tag '!env'",
        "write plain values without tags, each key once",
    ),
    "python tag": (
        "!!python/object/apply:os.getcwd []\n",
        "PATH, line 1, column 1",
        "could not determine a constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.getcwd'",
        "write plain values without tags, each key once",
    ),
    "job written twice": (
        "cluster:\n  worker: [a:1]\n  worker: [a:2]\n",
        "PATH, line 3, column 3",
        "the key 'worker' is there already",
        "write plain values without tags, each key once",
    ),
}


@pytest.mark.parametrize(("text", "place", "what", "fix"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_file_that_holds_no_cluster_is_refused_with_the_place_and_the_fix(
    problems_of: Callable[[str], list[str]], text: str, place: str, what: str, fix: str
) -> None:
    assert problems_of(text) == [f"{place}: {what}\n    fix: {fix}"]


def test_a_path_that_leads_to_no_text_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"cluster: \xff\xfe")
    for path, place, what in (
        (tmp_path / "missing.yaml", f"{tmp_path}/missing.yaml", "there is no such file"),
        (tmp_path, str(tmp_path), "it is a directory"),
        (binary / "below", f"{binary}/below", "it cannot be read: Not a directory"),
        (binary, f"{binary}, byte 9", "it is not UTF-8 text"),
    ):
        with pytest.raises(ClusterConfigError) as caught:
            Cluster.from_yaml(path)
        (problem,) = caught.value.problems
        assert (problem.place, problem.what) == (place, what)
        assert problem.fix


def test_a_file_gives_tasks_addresses_and_control(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(
        "cluster:\n"
        "  ps: ['[::1]:2222', 10.0.0.7:2222]\n"
        "  worker: [trainer-1.example.com:2222]\n"
        "  chief: [trainer_0:2222]\n"
        "task: {type: ps, index: 1}\n"
        "control: trainer_0:9\n"
    )
    cluster = Cluster.from_yaml(path)
    assert [str(task) for task in cluster.tasks] == ["chief:0", "worker:0", "ps:0", "ps:1"]
    assert (cluster.task, cluster.host_port) == (Task("ps", 1), "10.0.0.7:2222")
    assert cluster.address(Task("ps", 0)) == "[::1]:2222"
    assert cluster.control_address == "trainer_0:9"
    assert not cluster.is_chief
    assert Cluster.from_yaml(path, task="worker:0").task == Task("worker", 0)
    assert Cluster.from_yaml(path, task=Task("chief", 0)).is_chief


def test_the_cluster_files_we_ship_are_good() -> None:
    local = Cluster.from_yaml(CONFIGS / "local-2ps-2workers.yaml")
    assert [str(task) for task in local.tasks] == ["chief:0", "worker:0", "worker:1", "ps:0", "ps:1"]
    assert local.local_tasks() == local.tasks
    assert local.with_free_ports().control_address is not None

    single = Cluster.from_yaml(CONFIGS / "single.yaml")
    assert (single.task, single.is_single, single.is_chief) == (Task("worker", 0), True, True)
    launched = single.with_free_ports()
    assert Cluster.from_tf_config({"TF_CONFIG": launched.tf_config(Task("worker", 0))}).control_address is None

    hosts = Cluster.from_yaml(CONFIGS / "three-hosts.example.yaml")
    assert {address.partition(":")[0] for row in hosts.addresses.values() for address in row} == {
        f"trainer-{number}.example.com" for number in range(3)
    }
    assert hosts.control_address == "trainer-0.example.com:2230"


@pytest.mark.parametrize("value", ["2001-99-99", "!!int x", "!!bool x", "!!timestamp x", "0x_", "[" * 3000])
def test_values_that_yaml_cannot_make_are_refused_too(tmp_path: Path, value: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(f"cluster:\n  worker: [{value}]\n")
    with pytest.raises(ClusterConfigError) as caught:
        Cluster.from_yaml(path)
    assert str(path) in str(caught.value)


def test_a_small_file_with_many_values_is_told_in_few_words(tmp_path: Path) -> None:
    """Each anchor holds the one before nine times: five million values in all."""
    levels = "".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 7))
    path = tmp_path / "cluster.yaml"
    path.write_text(
        f"a0: &a0 [x, x, x, x, x, x, x, x, x]\n{levels}"
        "cluster: {worker: *a6, ps: [*a6]}\ntask: {type: *a6, index: *a6}\ncontrol: {address: *a6, key: *a6}\n"
    )
    with pytest.raises(ClusterConfigError) as caught:
        Cluster.from_yaml(path)
    assert len(str(caught.value)) < 10_000
