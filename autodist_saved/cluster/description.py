"""A parsed cluster file or ``TF_CONFIG``: jobs with addresses, a task, the control service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from autodist_saved.cluster.control_files import FILE_KEYS, ControlFiles
from autodist_saved.cluster.rules import rule_problems
from autodist_saved.cluster.schema import SAY_TASK, check_schema
from autodist_saved.cluster.task import Task
from autodist_saved.errors import ClusterConfigError, Problem


class ClusterDescription(NamedTuple):
    """The arguments of a ``Cluster``, checked."""

    addresses: Mapping[str, tuple[str, ...]]
    task: Task | None
    control: str | None
    control_files: ControlFiles


def description_problems(addresses: object, task: Task | None, control: object) -> list[Problem]:
    """Everything that is wrong with a cluster: where it does not fit the schema, then rules that it breaks.

    Args:
        addresses: for each job, the ``host:port`` of its tasks.
        task: the task this process is, or None.
        control: ``host:port`` of the chief's control service, or a mapping with that and its files, or None.
    """
    own = None if task is None else {"type": task.type, "index": task.index}
    return _problems({"cluster": addresses, "task": own, "control": control})


def read_description(
    config: Mapping[Any, Any],
    source: str,
    *,
    path: str | None = None,
    folder: Path = Path(),
    task: Task | str | None = None,
    needs_task: bool = False,
) -> ClusterDescription:
    """Check a parsed mapping and return what it describes. One error reports all problems.

    Args:
        config: the top level, with values of any type.
        source: how the error names it.
        path: the path of the file, if it is a file.
        folder: relative paths of the control service's files start here.
        task: the task this process is; replaces the one in ``config``.
        needs_task: whether ``config`` must say which task this process is.

    Raises:
        ClusterConfigError: the mapping describes no usable cluster.
    """
    problems: list[Problem] = []
    if task is not None:
        config = {**config, "task": None}
        try:
            own = Task.parse(task) if isinstance(task, str) else task
            config["task"] = {"type": own.type, "index": own.index}
        except ClusterConfigError as error:
            problems += error.problems
    elif needs_task and config.get("task") is None:
        problems.append(Problem("task", "it is missing", SAY_TASK))
    problems += _problems(config)
    if problems:
        raise ClusterConfigError(f"{source} describes no usable cluster", problems=problems, path=path)
    described, control = config.get("task"), config.get("control")
    if not isinstance(control, Mapping):
        control = {"address": control}
    return ClusterDescription(
        config["cluster"],
        None if described is None else Task(described["type"], described["index"]),
        control.get("address"),
        ControlFiles(**{key: control.get(key) for key in FILE_KEYS}).below(folder),
    )


def _problems(config: Mapping[str, object]) -> list[Problem]:
    problems, readable = check_schema(config)
    return [*problems, *rule_problems(readable)]
