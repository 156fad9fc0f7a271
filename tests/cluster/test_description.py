"""One error names all mistakes of a description: where it does not fit the schema, then the rules that it breaks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodist_saved.cluster import Cluster
from autodist_saved.cluster.description import read_description
from autodist_saved.errors import ClusterConfigError, ConfigError

# What a parser of YAML can make of a file, with words and places of a description here and there.
SCALARS = st.sampled_from(["a:1", "a", "localhost:0", "worker", "ps", "", 0, -1, 2**70, 0.5, True, None])
KEYS = st.sampled_from(["worker", "ps", "chief", "type", "index", "address", "key", "cheif", 1, 0.5, True, None])
MAPPINGS = st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=2) | st.sets(SCALARS, max_size=2), max_size=3)
VALUES = MAPPINGS | SCALARS | st.lists(SCALARS | MAPPINGS, max_size=2)

SAY_WHICH = "say which task this process is, such as {type: worker, index: 0}"

# The YAML text, and of its only problem: place, what, fix.
BAD_FILES: dict[str, tuple[str, str, str, str]] = {
    "unknown key": (
        "cluster: {worker: [a:1]}\ncontroll: a:2\n",
        "controll",
        "'controll' is no key",
        "did you mean control?",
    ),
    "key that is no text": (
        "cluster: {worker: [a:1]}\n1.5: x\n",
        "1.5",
        "'1.5' is no key",
        "choose from cluster, task, control",
    ),
    "task is a text": (
        "cluster: {worker: [a:1]}\ntask: worker\n",
        "task",
        "it is a text, not a mapping",
        SAY_WHICH,
    ),
    "task without an index": (
        "cluster: {worker: [a:1]}\ntask: {type: worker}\n",
        "task.index",
        "it is missing",
        SAY_WHICH,
    ),
    "task with an unknown key": (
        "cluster: {worker: [a:1]}\ntask: {type: worker, index: 0, indexx: 1}\n",
        "task.indexx",
        "'indexx' is no key",
        "did you mean index?",
    ),
}


@pytest.mark.parametrize(("text", "place", "what", "fix"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_key_out_of_place_is_refused_with_the_place_and_the_fix(
    problems_of: Callable[[str], list[str]], text: str, place: str, what: str, fix: str
) -> None:
    assert problems_of(text) == [f"{place}: {what}\n    fix: {fix}"]


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
        "cluster.worker[2]",
        "cluster.pss",
        "cluster.pss[0]",
        "task.index",
        "control",
        "retries",
        "cluster.worker[1]",
        "task.type",
    ]
    assert str(caught.value).startswith(f"{path} describes no usable cluster (8 problems)\n  1. cluster.worker[2]: ")


@given(st.dictionaries(st.sampled_from(["cluster", "task", "control", 0.5]), VALUES))
def test_whatever_does_not_fit_the_schema_is_an_error_of_ours(config: dict[str, object]) -> None:
    with contextlib.suppress(ClusterConfigError):
        read_description(config, "anything")


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
