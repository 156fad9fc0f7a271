"""The rules of a cluster: one chief, a task that trains, a port of its own for each task."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autodist_saved.cluster import Cluster
from autodist_saved.errors import ClusterConfigError

WRITE_JOBS = 'write each job with its addresses, such as worker: ["localhost:2222"]'
OWN_PORT = "give each task a port of its own"
ADD_TRAINER = "add a worker, or a chief that trains by itself"

# The YAML text, and of its only problem: place, what, fix.
BAD_FILES: dict[str, tuple[str, str, str, str]] = {
    "no cluster": ("task: {type: worker, index: 0}\n", "cluster", "it is missing", WRITE_JOBS),
    "cluster is a list": ("cluster: [a:1]\n", "cluster", "it is a list, not a mapping", WRITE_JOBS),
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
    "job is a set": (
        "cluster: {worker: !!set {a:1, b:1}}\n",
        "cluster.worker",
        "it is a set, not a list of addresses",
        'write a list, such as ["localhost:2222"]; its order numbers the tasks',
    ),
    "job is empty": (
        "cluster: {worker: [a:1], ps: []}\n",
        "cluster.ps",
        "the list is empty",
        "add an address, or leave the job out",
    ),
    "duplicate address": (
        "cluster: {worker: [a:1, a:2], ps: [A:1]}\n",
        "cluster.ps[0]",
        "A:1 is the address of cluster.worker[0] already",
        OWN_PORT,
    ),
    "duplicate loopback address": (
        "cluster: {worker: [localhost:1, '127.0.0.1:1']}\n",
        "cluster.worker[1]",
        "127.0.0.1:1 is the address of cluster.worker[0] already",
        OWN_PORT,
    ),
    "misspelled chief, on the host of control": (
        "cluster: {cheif: [a:1], worker: [b:1]}\ncontrol: a:2\n",
        "cluster.cheif",
        "'cheif' is no job",
        "did you mean chief?",
    ),
    "nobody trains": ("cluster: {evaluator: [a:1]}\n", "cluster", "nobody trains", ADD_TRAINER),
    "only parameter servers": (
        "cluster: {ps: [a:1, a:2]}\n",
        "cluster",
        "the cluster has parameter servers and nobody to train",
        ADD_TRAINER,
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
def test_a_broken_rule_is_named_with_the_place_and_the_fix(
    problems_of: Callable[[str], list[str]], text: str, place: str, what: str, fix: str
) -> None:
    assert problems_of(text) == [f"{place}: {what}\n    fix: {fix}"]


def test_a_cluster_made_in_a_program_is_checked_too() -> None:
    with pytest.raises(ClusterConfigError, match=r"cluster.ps\[0\]: 'a' has no port"):
        Cluster({"worker": ("a:1",), "ps": ("a",)})
    with pytest.raises(ClusterConfigError, match="the cluster has no worker:1, only 1 worker"):
        Cluster({"worker": ("a:1",)}).for_task("worker:1")
    with pytest.raises(ClusterConfigError, match=r"Cluster\.local, ps: -1 is no number of tasks"):
        Cluster.local(ps=-1)
    with pytest.raises(ClusterConfigError, match="nobody to train"):
        Cluster.local(ps=1, workers=0)
