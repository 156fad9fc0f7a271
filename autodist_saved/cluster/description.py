"""What a parsed cluster file or ``TF_CONFIG`` says: jobs with addresses, a task, the control service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from autodist_saved.cluster.control_files import FILE_KEYS, ControlFiles
from autodist_saved.cluster.rules import cluster_problems
from autodist_saved.cluster.task import Task
from autodist_saved.cluster.wording import kind, unknown
from autodist_saved.errors import ClusterConfigError, Problem

KEYS = ("cluster", "task", "control")


class Description(NamedTuple):
    """The arguments of a ``Cluster``, checked."""

    addresses: Mapping[str, tuple[str, ...]]
    task: Task | None
    control: str | None
    control_files: ControlFiles


def describe(
    config: Mapping[Any, Any],
    source: str,
    *,
    path: str | None = None,
    folder: Path = Path(),
    task: Task | str | None = None,
    needs_task: bool = False,
) -> Description:
    """Take a parsed mapping for a cluster; problems of form and of sense come in one error.

    Args:
        config: the top level, with values of any type.
        source: what the error calls it.
        path: the file, where it is one.
        folder: where relative paths of the control service's files begin.
        task: the task this process is; goes before the one in ``config``.
        needs_task: whether the task has to be said.

    Raises:
        ClusterConfigError: it describes no usable cluster.
    """
    problems = _unknown_keys("", config, KEYS)
    own: Task | None = None
    try:
        if task is not None:
            own = Task.parse(task) if isinstance(task, str) else task
        elif needs_task or config.get("task") is not None:
            own = _described_task(config.get("task"))
    except ClusterConfigError as error:
        problems += error.problems
    problems += cluster_problems(config.get("cluster"), own, config.get("control"))
    if problems:
        raise ClusterConfigError(f"{source} describes no usable cluster", problems=problems, path=path)
    control = config.get("control")
    if not isinstance(control, Mapping):
        control = {"address": control}
    files = ControlFiles(**{key: control.get(key) for key in FILE_KEYS})
    return Description(config["cluster"], own, control.get("address"), files.below(folder))


def _described_task(described: object) -> Task:
    """The ``task`` of a description. Whether the cluster has it is checked with the cluster."""
    fix = "say which task this process is, such as {type: worker, index: 0}"
    if described is None:
        problems = [Problem("task", "it is missing", fix)]
    elif not isinstance(described, Mapping):
        problems = [Problem("task", f"it is {kind(described)}, not a mapping", fix)]
    else:
        keys = ("type", "index")
        problems = _unknown_keys("task.", described, keys)
        problems += [Problem(f"task.{key}", "it is missing", fix) for key in keys if key not in described]
        if not problems:
            return Task(described["type"], described["index"])
    raise ClusterConfigError("the task cannot be read", problems=problems)


def _unknown_keys(prefix: str, mapping: Mapping[Any, object], known: Sequence[str]) -> list[Problem]:
    return [unknown(f"{prefix}{key}", str(key), known, "key") for key in mapping if key not in known]
