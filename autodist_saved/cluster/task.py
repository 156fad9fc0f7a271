"""A task: one process of a job, known by its type and its number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from autodist_saved.errors import ClusterConfigError, Problem

# In the order of Cluster.tasks.
TaskType = Literal["chief", "master", "worker", "ps", "evaluator"]
TASK_TYPES: tuple[str, ...] = get_args(TaskType)
# The chief is the first task of the first of these jobs that a cluster has.
TRAINERS = ("chief", "master", "worker")


@dataclass(frozen=True)
class Task:
    """One process of a job, such as ``ps:0``.

    Attributes:
        type: ``chief``, ``master``, ``worker``, ``ps`` or ``evaluator``.
        index: position among the tasks of this type, from 0.
    """

    type: str
    index: int

    def __str__(self) -> str:
        return f"{self.type}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> Task:
        """Parse ``ps:0``. Does not check that a cluster has such a task.

        Raises:
            ClusterConfigError: the text does not have this form.
        """
        match = re.fullmatch(r"(\w+):(-?[0-9]+)", text)
        if match is None:
            problem = Problem("task", f"{text!r} names no task", "write TYPE:INDEX, such as worker:0")
            raise ClusterConfigError("a task cannot be read", problems=[problem])
        return cls(match[1], int(match[2]))

    @property
    def device(self) -> str:
        """The task's TensorFlow device, such as ``/job:ps/task:0``."""
        return f"/job:{self.type}/task:{self.index}"
