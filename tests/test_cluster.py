"""What users rely on when they describe a cluster: all mistakes named at once, and one chief."""

from __future__ import annotations

import contextlib
import json
import pickle
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from autodist_saved.cluster import Cluster, Task, _free_port
from autodist_saved.errors import ClusterConfigError, ConfigError, UsageError, WrongTaskError

CONFIGS = Path(__file__).parent.parent / "cluster_configs"


# The YAML text, and of its only problem: place, what, fix. PATH stands for the path of the file.
BAD_FILES: dict[str, tuple[str, str, str, str]] = {
    "empty": ("", "PATH", "it is empty", "begin with `cluster:`, as the files in cluster_configs/ do"),
    "only comments": (
        "# soon\n",
        "PATH",
        "it is empty",
        "begin with `cluster:`, as the files in cluster_configs/ do",
    ),
    "top level a list": (
        "- worker\n",
        "PATH",
        "its top level is a list, not a mapping",
        "begin with `cluster:`, as the files in cluster_configs/ do",
    ),
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
        "begin with `cluster:`, as the files in cluster_configs/ do",
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
    "unknown key": (
        "cluster: {worker: [a:1]}\ncontroll: a:2\n",
        "controll",
        "'controll' is no key",
        "did you mean control?",
    ),
    "no cluster": (
        "task: {type: worker, index: 0}\n",
        "cluster",
        "it is missing",
        'write each job with its addresses, such as worker: ["localhost:2222"]',
    ),
    "cluster is a list": (
        "cluster: [a:1]\n",
        "cluster",
        "it is a list, not a mapping",
        'write each job with its addresses, such as worker: ["localhost:2222"]',
    ),
    "misspelled job": (
        "cluster: {workers: [a:1]}\n",
        "cluster.workers",
        "'workers' is no job",
        "did you mean worker?",
    ),
    "unknown job": (
        "cluster: {worker: [a:1], gpu: [a:2]}\n",
        "cluster.gpu",
        "'gpu' is no job",
        "choose from chief, master, worker, ps, evaluator",
    ),
    "job is a text": (
        "cluster: {worker: a:1}\n",
        "cluster.worker",
        "it is a text, not a list of addresses",
        'write a list, such as ["localhost:2222"]; its order numbers the tasks',
    ),
    "job is empty": (
        "cluster: {worker: [a:1], ps: []}\n",
        "cluster.ps",
        "the list is empty",
        "add an address, or leave the job out",
    ),
    "address is a number": (
        "cluster: {worker: [2222]}\n",
        "cluster.worker[0]",
        "2222 is a number, not an address",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
    "address has a space": (
        "cluster:\n  worker:\n  - a: 1\n",
        "cluster.worker[0]",
        "{'a': 1} is a mapping, not an address",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
    "no port": (
        "cluster: {worker: [localhost]}\n",
        "cluster.worker[0]",
        "'localhost' has no port",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
    "IPv6 without a port": (
        'cluster: {worker: ["[::1]"]}\n',
        "cluster.worker[0]",
        "'[::1]' has no port",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
    "IPv6 without brackets": (
        "cluster: {worker: ['fe80::1:2222']}\n",
        "cluster.worker[0]",
        "'fe80::1:2222' has more than one colon",
        'write an IPv6 host as "[::1]:2222"',
    ),
    "not an IPv6 address": (
        'cluster: {worker: ["[::x]:1"]}\n',
        "cluster.worker[0]",
        "'[::x]' is no host name",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
    "port is a name": (
        "cluster: {worker: [a:http]}\n",
        "cluster.worker[0]",
        "the port of 'a:http' is not a number",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
    "port is too high": (
        "cluster: {worker: [a:65536]}\n",
        "cluster.worker[0]",
        "port 65536 is out of range",
        "choose one from 1 to 65535",
    ),
    "port is negative": (
        "cluster: {worker: [a:-1]}\n",
        "cluster.worker[0]",
        "port -1 is out of range",
        "choose one from 1 to 65535",
    ),
    "port 0 on another machine": (
        "cluster: {worker: [a:0]}\n",
        "cluster.worker[0]",
        "port 0 (chosen when the job is launched) is for loopback hosts, and a is none",
        "choose a port from 1 to 65535",
    ),
    "no host": (
        "cluster: {worker: [':2222']}\n",
        "cluster.worker[0]",
        "':2222' has no host",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
    "host with a blank": (
        "cluster: {worker: ['my host:1']}\n",
        "cluster.worker[0]",
        "'my host' is no host name",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
    "URL": (
        "cluster: {worker: ['grpc://a:1']}\n",
        "cluster.worker[0]",
        "'grpc://a:1' is a URL or a path, not an address",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
    "duplicate address": (
        "cluster: {worker: [a:1, a:2], ps: [A:1]}\n",
        "cluster.ps[0]",
        "A:1 is the address of cluster.worker[0] already",
        "give each task a port of its own",
    ),
    "duplicate loopback address": (
        "cluster: {worker: [localhost:1, '127.0.0.1:1']}\n",
        "cluster.worker[1]",
        "127.0.0.1:1 is the address of cluster.worker[0] already",
        "give each task a port of its own",
    ),
    "misspelled chief, on the host of control": (
        "cluster: {cheif: [a:1], worker: [b:1]}\ncontrol: a:2\n",
        "cluster.cheif",
        "'cheif' is no job",
        "did you mean chief?",
    ),
    "nobody trains": (
        "cluster: {evaluator: [a:1]}\n",
        "cluster",
        "nobody trains",
        "add a worker, or a chief that trains by itself",
    ),
    "only parameter servers": (
        "cluster: {ps: [a:1, a:2]}\n",
        "cluster",
        "the cluster has parameter servers and nobody to train",
        "add a worker, or a chief that trains by itself",
    ),
    "chief and master": (
        "cluster: {chief: [a:1], master: [a:2]}\n",
        "cluster.master",
        "the cluster has a chief and a master; they are two names for one task",
        "keep one of them",
    ),
    "two chiefs": (
        "cluster: {chief: [a:1, a:2]}\n",
        "cluster.chief[1]",
        "there can be only one chief",
        "make the others workers",
    ),
    "two masters": (
        "cluster: {master: [a:1, a:2]}\n",
        "cluster.master[1]",
        "there can be only one master",
        "make the others workers",
    ),
    "task is a text": (
        "cluster: {worker: [a:1]}\ntask: worker\n",
        "task",
        "it is a text, not a mapping",
        "say which task this process is, such as {type: worker, index: 0}",
    ),
    "task without an index": (
        "cluster: {worker: [a:1]}\ntask: {type: worker}\n",
        "task.index",
        "it is missing",
        "say which task this process is, such as {type: worker, index: 0}",
    ),
    "task with an unknown key": (
        "cluster: {worker: [a:1]}\ntask: {type: worker, index: 0, indexx: 1}\n",
        "task.indexx",
        "'indexx' is no key",
        "did you mean index?",
    ),
    "unknown task type": (
        "cluster: {worker: [a:1]}\ntask: {type: worke, index: 0}\n",
        "task.type",
        "'worke' is no task type",
        "did you mean worker?",
    ),
    "task type outside the cluster": (
        "cluster: {worker: [a:1]}\ntask: {type: ps, index: 0}\n",
        "task.type",
        "the cluster has no ps",
        "choose from worker",
    ),
    "task index outside the cluster": (
        "cluster: {worker: [a:1, a:2]}\ntask: {type: worker, index: 2}\n",
        "task.index",
        "the cluster has no worker:2, only 2 worker",
        "write 0 to 1, or add an address",
    ),
    "negative task index": (
        "cluster: {worker: [a:1]}\ntask: {type: worker, index: -1}\n",
        "task.index",
        "-1 is negative",
        "count the tasks of a job from 0",
    ),
    "negative evaluator": (
        "cluster: {worker: [a:1]}\ntask: {type: evaluator, index: -1}\n",
        "task.index",
        "-1 is negative",
        "count the tasks of a job from 0",
    ),
    "task index is a text": (
        'cluster: {worker: [a:1]}\ntask: {type: worker, index: "0"}\n',
        "task.index",
        "'0' is a text, not a whole number",
        "write a number without quotes, counted from 0",
    ),
    "task index is a truth value": (
        "cluster: {worker: [a:1, a:2]}\ntask: {type: worker, index: yes}\n",
        "task.index",
        "True is a bool, not a whole number",
        "write a number without quotes, counted from 0",
    ),
    "control without a port": (
        "cluster: {worker: [a:1]}\ncontrol: a\n",
        "control",
        "'a' has no port",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
    "control is a list": (
        "cluster: {worker: [a:1]}\ncontrol: [a:2]\n",
        "control",
        "['a:2'] is a list, not an address",
        'write it as "host:port", such as "trainer-0.example.com:2222"',
    ),
    "control is a task's": (
        "cluster: {worker: [a:1], ps: [a:2]}\ncontrol: a:2\n",
        "control",
        "a:2 is the address of cluster.ps[0] already",
        "give the control service a port of its own",
    ),
    "control on another machine": (
        "cluster: {worker: [a:1], chief: [b:1]}\ncontrol: a:9\n",
        "control",
        "a is not the chief's host; cluster.chief[0] is on b",
        'write "b:9"; the chief runs this service',
    ),
    "no port left for control": (
        "cluster: {worker: [a:65535], ps: [b:1]}\n",
        "control",
        "no port is left above 65535 for the chief's control service",
        'add control: "a:PORT" with a free port',
    ),
}


@pytest.mark.parametrize(("text", "place", "what", "fix"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_is_refused_with_the_place_and_the_fix(
    tmp_path: Path, text: str, place: str, what: str, fix: str
) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(ClusterConfigError) as caught:
        Cluster.from_yaml(path)
    assert [str(problem) for problem in caught.value.problems] == [
        f"{place.replace('PATH', str(path))}: {what}\n    fix: {fix}"
    ]
    assert str(path) in str(caught.value)


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


def test_all_problems_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(
        "cluster:\n"
        "  worker: [a:1, a:1, a]\n"
        "  pss: [a:70000]\n"
        "task: {type: ps, index: -1}\n"
        "control: nowhere\n"
        "retries: 3\n"
    )
    with pytest.raises(ConfigError) as caught:
        Cluster.from_yaml(path)
    assert [problem.place for problem in caught.value.problems] == [
        "retries",
        "cluster.pss",
        "cluster.worker[1]",
        "cluster.worker[2]",
        "cluster.pss[0]",
        "task.type",
        "task.index",
        "control",
    ]
    assert str(caught.value).startswith(f"{path} describes no usable cluster (8 problems)\n  1. retries: ")


def test_a_task_argument_that_names_no_task_is_reported_with_the_problems_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("cluster: {worker: [a]}\n")
    with pytest.raises(ClusterConfigError) as caught:
        Cluster.from_yaml(path, task="worker")
    assert [str(problem) for problem in caught.value.problems] == [
        "task: 'worker' names no task\n    fix: write TYPE:INDEX, such as worker:0",
        (
            "cluster.worker[0]: 'a' has no port\n"
            '    fix: write it as "host:port", such as "trainer-0.example.com:2222"'
        ),
    ]


def test_a_cluster_made_in_a_program_is_checked_too() -> None:
    with pytest.raises(ClusterConfigError, match=r"cluster.ps\[0\]: 'a' has no port"):
        Cluster({"worker": ("a:1",), "ps": ("a",)})
    with pytest.raises(ClusterConfigError, match="the cluster has no worker:1, only 1 worker"):
        Cluster({"worker": ("a:1",)}).for_task("worker:1")
    with pytest.raises(ClusterConfigError, match=r"Cluster\.local, ps: -1 is no number of tasks"):
        Cluster.local(ps=-1)
    with pytest.raises(ClusterConfigError, match="nobody to train"):
        Cluster.local(ps=1, workers=0)


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
def test_the_chief_is_chief_or_master_or_else_worker_0(
    addresses: Mapping[str, tuple[str]], chief: str
) -> None:
    cluster = Cluster(addresses)
    assert str(cluster.chief) == chief
    assert [str(task) for task in cluster.tasks if cluster.for_task(task).is_chief] == [chief]


def test_an_evaluator_beside_the_cluster_is_never_the_chief() -> None:
    cluster = Cluster({"worker": ("a:1",)}, Task("evaluator", 0))
    assert not cluster.is_chief
    with pytest.raises(ClusterConfigError, match="task evaluator:0: the cluster has no such task"):
        cluster.host_port  # noqa: B018


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
    monkeypatch.setenv(
        "TF_CONFIG", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'
    )
    assert Cluster.from_tf_config().host_port == "a:1"


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


def test_a_port_that_the_cluster_has_already_is_not_chosen_again() -> None:
    taken = {port for port in range(65536) if port % 7}
    with contextlib.ExitStack() as held:
        chosen = [_free_port("localhost", taken, held) for _ in range(5)]
    assert [port % 7 for port in chosen] == [0] * 5
    assert set(chosen) <= taken


def test_a_machine_starts_the_tasks_that_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "trainer-7")
    monkeypatch.setattr(socket, "getfqdn", lambda: "trainer-7.invalid")
    cluster = Cluster(
        {
            "worker": ("Trainer-7:1", "trainer-7.invalid:2", "trainer-8.invalid:1"),
            "ps": ("localhost:2", "198.51.100.1:1", "[::1]:3"),
        }
    )
    assert [str(task) for task in cluster.local_tasks()] == ["worker:0", "worker:1", "ps:0", "ps:2"]


def test_a_machine_knows_itself_by_its_addresses() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outgoing:
        try:
            outgoing.connect(("198.51.100.1", 9))  # Sends nothing; chooses the interface.
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own = outgoing.getsockname()[0]
    cluster = Cluster({"worker": (f"{own}:1", "198.51.100.1:1")})
    assert cluster.local_tasks() == (Task("worker", 0),)


def test_a_cluster_can_be_pickled_and_compared() -> None:
    cluster = Cluster({"worker": ["a:1"], "ps": ["a:2"]}, Task("ps", 0))  # type: ignore[dict-item]
    assert pickle.loads(pickle.dumps(cluster)) == cluster  # noqa: S301
    assert cluster == Cluster({"ps": ("a:2",), "worker": ("a:1",)}, Task("ps", 0))


def test_a_task_is_read_as_it_is_written() -> None:
    task = Task.parse("ps:12")
    assert (task, str(task), task.device) == (Task("ps", 12), "ps:12", "/job:ps/task:12")
    with pytest.raises(ClusterConfigError, match="'ps' names no task\n    fix: write TYPE:INDEX"):
        Task.parse("ps")


def test_the_cluster_files_we_ship_are_good() -> None:
    local = Cluster.from_yaml(CONFIGS / "local-2ps-2workers.yaml")
    assert [str(task) for task in local.tasks] == ["chief:0", "worker:0", "worker:1", "ps:0", "ps:1"]
    assert local.local_tasks() == local.tasks
    assert local.with_free_ports().control_address is not None

    single = Cluster.from_yaml(CONFIGS / "single.yaml")
    assert (single.task, single.is_single, single.is_chief) == (Task("worker", 0), True, True)
    launched = single.with_free_ports()
    assert (
        Cluster.from_tf_config({"TF_CONFIG": launched.tf_config(Task("worker", 0))}).control_address is None
    )

    hosts = Cluster.from_yaml(CONFIGS / "three-hosts.example.yaml")
    assert {address.partition(":")[0] for row in hosts.addresses.values() for address in row} == {
        f"trainer-{number}.example.com" for number in range(3)
    }
    assert hosts.control_address == "trainer-0.example.com:2230"


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
