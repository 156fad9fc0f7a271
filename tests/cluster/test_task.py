"""Tasks as they are written."""

from __future__ import annotations

import pytest

from autodist_saved.cluster import Task
from autodist_saved.errors import ClusterConfigError


def test_a_task_is_read_as_it_is_written() -> None:
    task = Task.parse("ps:12")
    assert (task, str(task), task.device) == (Task("ps", 12), "ps:12", "/job:ps/task:12")
    with pytest.raises(ClusterConfigError, match="'ps' names no task\n    fix: write TYPE:INDEX"):
        Task.parse("ps")
