"""What starts the tasks of a job that belong to this machine, once all that can be wrong is ruled out."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from autodist_saved.cluster import Cluster, Task
from autodist_saved.errors import LaunchError, Problem
from autodist_saved.launch.process_group import inherited_orphans
from autodist_saved.launch.running_tasks import RunningTasks
from autodist_saved.launch.signals import signal_numbers
from autodist_saved.launch.task_output import TaskOutput
from autodist_saved.tf_internals.start_up_log import ERRORS_ALONE, LEVEL, is_start_up_line

_CHILD_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "COLUMNS": "100",
    LEVEL: ERRORS_ALONE,
    "GRPC_VERBOSITY": "ERROR",  # of every stranger's handshake it would say a line
}


def launch(
    cluster: Cluster,
    command: Sequence[str],
    *,
    console: Console | None = None,
    grace_secs: float = 5.0,
    last_export_secs: float = 300.0,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run ``command`` once for every task of the cluster that belongs to this machine, until the job is over.

    Called by ``autodist-saved launch``, in the main thread, since it handles SIGINT, SIGTERM, SIGHUP and SIGUSR1.
    Every task gets its ``TF_CONFIG``, an empty standard input and a process group of its own.

    Lines that TensorFlow writes while it starts are shown only where a task fails, or where the environment sets
    ``TF_CPP_MIN_LOG_LEVEL``.

    The job is over when all tasks have ended. Parameter servers, and whatever a task left running in the
    background, are stopped ``grace_secs`` after all other tasks have ended well. When a task fails, the
    others are stopped a second later: those that fail by themselves until then may be the cause. A signal is
    passed on to the chief, which may export once more, and to the other tasks when it has ended; to all at once
    where the chief is on another machine. A second one kills them. SIGUSR1, which asks for an export, is passed on
    to the chief.

    Args:
        cluster: the job; ports 0 in it are chosen here.
        command: program and arguments.
        console: where the tasks' output goes, standard output by default.
        grace_secs: seconds that tasks have to end by themselves, before SIGTERM and again before SIGKILL.
        last_export_secs: seconds more that those have to which a signal is passed on first;
            ``ExportSchedule.last_export_secs`` is as long.
        environ: environment of the tasks, this process's own by default.

    Returns:
        0 when all tasks ended well. When tasks failed, the exit status, as a shell has it (128 + n for signal
        n), of the first that a signal ended, else of the chief, else of the first. Otherwise 128 + n after
        signal n.

    Raises:
        LaunchError: no task belongs to this machine, or the command cannot be run. Nothing was started.
    """
    environ = os.environ if environ is None else environ
    tasks = cluster.local_tasks()
    if problems := [*_cluster_problems(cluster, tasks), *_command_problems(command, environ)]:
        raise LaunchError("the job cannot be started", problems=problems)
    cluster = cluster.with_free_ports()
    output = TaskOutput(console or Console(), [str(task) for task in tasks])
    with (
        output,
        signal_numbers() as signals,
        inherited_orphans(),
        RunningTasks(
            output,
            signals,
            chief=cluster.chief,
            grace_secs=grace_secs,
            last_export_secs=last_export_secs,
            # Who sets the level wants to see the lines.
            is_hidden=is_start_up_line if LEVEL not in environ else lambda _: False,
        ) as running,
    ):
        elsewhere = len(cluster.tasks) - len(tasks)
        rest = f"; {elsewhere} more belong to other machines" if elsewhere else ""
        output.say(f"starting {', '.join(map(str, tasks))}{rest}")
        if not cluster.is_single:
            output.say(f"how it goes: autodist-saved status {cluster.control_address}")
        for task in tasks:
            running.start(task, command, {**_CHILD_ENVIRONMENT, **environ, "TF_CONFIG": cluster.tf_config(task)})
        return running.supervise()


def _cluster_problems(cluster: Cluster, tasks: Sequence[Task]) -> Iterator[Problem]:
    if not tasks:
        hosts = {address.rpartition(":")[0] for row in cluster.addresses.values() for address in row}
        yield Problem(
            "CONFIG",
            f"its tasks belong to {', '.join(sorted(hosts))}, and this machine is {', '.join(_own_names())}",
            "run the command on those machines, or give this machine's name or address to some tasks",
        )


def _own_names() -> list[str]:
    host = socket.gethostname()
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys([host, socket.getfqdn(), *(str(info[4][0]) for info in found)]))
    return [host]


def _command_problems(command: Sequence[str], environ: Mapping[str, str]) -> Iterator[Problem]:
    if not command:
        yield Problem("COMMAND", "it is missing", "write it behind `--`, such as: -- python train.py")
        return
    program = command[0]
    if shutil.which(program, path=environ.get("PATH")) is not None:
        return
    if Path(program).is_file():
        fix = f"make it executable (chmod +x {program}), or name what runs it: python {program}"
        yield Problem("COMMAND", f"{program!r} is not executable", fix)
    else:
        fix = f"check the spelling; a relative path begins at {Path.cwd()}"
        place = "there is no such file" if "/" in program else "no directory in PATH holds such a program"
        yield Problem("COMMAND", f"{program!r} cannot be run: {place}", fix)
