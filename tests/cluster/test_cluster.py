"""What users rely on when they ask a cluster: one chief, and addresses that everybody agrees on."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
from collections.abc import Mapping

import pytest

from autodist_saved.cluster import Cluster, Task
from autodist_saved.errors import ClusterConfigError, UsageError, WrongTaskError


def test_errors_can_be_pickled_with_their_problems() -> None:
    with pytest.raises(ClusterConfigError) as caught:
        Cluster({})
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems  # noqa: S301


@pytest.mark.parametrize(
    ("addresses", "chief"),
    [
        ({"chief": ["a:1"], "worker": ["a:2"], "ps": ["a:3"]}, "chief:0"),
        ({"ps": ["a:3"], "worker": ["a:2"], "master": ["a:1"]}, "master:0"),
        ({"chief": ["a:1"], "ps": ["a:3"]}, "chief:0"),
        ({"ps": ["a:3"], "worker": ["a:1", "a:2"]}, "worker:0"),
        ({"evaluator": ["a:4"], "worker": ["a:1"]}, "worker:0"),
        ({"worker": ["a:1"]}, "worker:0"),
    ],
)
def test_the_chief_is_chief_or_master_or_else_worker_0(addresses: Mapping[str, tuple[str]], chief: str) -> None:
    cluster = Cluster(addresses)
    assert str(cluster.chief) == chief
    assert [str(task) for task in cluster.tasks if cluster.for_task(task).is_chief] == [chief]


def test_an_evaluator_beside_the_cluster_is_never_the_chief() -> None:
    cluster = Cluster({"worker": ("a:1",)}, Task("evaluator", 0))
    assert not cluster.is_chief
    with pytest.raises(ClusterConfigError, match="task evaluator:0: the cluster has no such task"):
        cluster.host_port  # noqa: B018


def test_the_control_address_lies_above_all_ports_of_the_chiefs_machine() -> None:
    cluster = Cluster({"ps": ("127.0.0.1:4000", "b:5000"), "worker": ("localhost:3000", "[::1]:3500")})
    assert {cluster.for_task(task).control_address for task in cluster.tasks} == {"localhost:4001"}


def test_a_single_task_needs_no_port_for_control() -> None:
    assert Cluster({"worker": ("a:65535",)}).control_address is None


def test_a_cluster_tells_tasks_apart_only_when_told_who_it_is() -> None:
    cluster = Cluster({"worker": ("a:1", "a:2")})
    with pytest.raises(UsageError, match=r"use Cluster.for_task\(task\)"):
        cluster.is_chief  # noqa: B018
    with pytest.raises(UsageError, match="which task this process is"):
        cluster.host_port  # noqa: B018


def test_a_local_cluster_has_free_ports_all_different() -> None:
    cluster = Cluster.local(ps=3, workers=2, chief=True)
    assert len(cluster.tasks) == 6
    assert cluster.control is not None
    ports = [int(cluster.address(task).rpartition(":")[2]) for task in cluster.tasks]
    ports.append(int(cluster.control.rpartition(":")[2]))
    assert len(set(ports)) == 7
    for port in ports:
        with socket.create_server(("localhost", port)):
            pass


def test_ports_that_are_not_chosen_are_chosen_once_and_the_others_kept() -> None:
    cluster = Cluster({"worker": ("localhost:0", "[::1]:0"), "ps": ("localhost:17",)})
    assert cluster.needs_free_ports
    for ask in (lambda: cluster.address(Task("worker", 0)), lambda: cluster.control_address):
        with pytest.raises(ClusterConfigError, match=r"not chosen yet\n    fix: .*`autodist-saved launch`"):
            ask()
    with pytest.raises(ClusterConfigError, match=r"Cluster.with_free_ports\(\)"):
        cluster.tf_config(Task("ps", 0))
    chosen = cluster.with_free_ports()
    assert not chosen.needs_free_ports
    assert chosen.addresses["ps"] == ("localhost:17",)
    assert chosen.addresses["worker"][1].startswith("[::1]:")
    assert chosen.with_free_ports() is chosen


def test_a_control_port_0_is_chosen_with_the_others() -> None:
    cluster = Cluster({"worker": ("localhost:0",), "ps": ("b:1",)}, control="127.0.0.1:0")
    assert cluster.needs_free_ports
    chosen = cluster.with_free_ports()
    assert chosen.control_address is not None
    assert chosen.control_address.startswith("127.0.0.1:")
    assert not chosen.control_address.endswith(":0")


def test_on_several_machines_no_control_port_is_chosen_that_only_one_would_know() -> None:
    cluster = Cluster({"worker": ("localhost:0",), "ps": ("b:1",)}).with_free_ports()
    assert cluster.control is None


def test_a_task_is_told_nothing_before_all_ports_are_chosen() -> None:
    cluster = Cluster({"worker": ("localhost:1",), "ps": ("localhost:0",)}, control="localhost:2")
    with pytest.raises(ClusterConfigError, match="task ps:0: the port of localhost:0 is not chosen yet"):
        cluster.tf_config(Task("worker", 0))


def test_a_cluster_can_be_pickled_and_compared() -> None:
    cluster = Cluster({"worker": ["a:1"], "ps": ["a:2"]}, Task("ps", 0))  # type: ignore[dict-item]
    assert pickle.loads(pickle.dumps(cluster)) == cluster  # noqa: S301
    assert cluster == Cluster({"ps": ("a:2",), "worker": ("a:1",)}, Task("ps", 0))


def test_a_parameter_server_builds_no_graph() -> None:
    scope = Cluster({"worker": ("a:1",), "ps": ("a:2",)}, Task("ps", 0)).device_scope()
    with pytest.raises(WrongTaskError, match=r"call autodist_saved.serve\(cluster\)"), scope:
        pass


def test_reading_a_cluster_loads_no_tensorflow() -> None:
    code = (
        "import sys; from autodist_saved.cluster import Cluster\n"
        "cluster = Cluster.local()\n"
        "with Cluster.single().device_scope(): pass\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
