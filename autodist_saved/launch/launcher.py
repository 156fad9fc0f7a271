"""``launch``: checks cluster and command, then starts the tasks that run on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from rich.console import Console

from autodist_saved.cluster import Cluster, Task
from autodist_saved.errors import LaunchError, Problem
from autodist_saved.launch.printer import Printer
from autodist_saved.launch.process_group import inherited_orphans
from autodist_saved.launch.running_tasks import RunningTasks
from autodist_saved.launch.signals import signal_numbers
from autodist_saved.launch.standard_output import StandardOutput
from autodist_saved.launch.task_output import TaskOutput
from autodist_saved.tf_internals.start_up_log import ERRORS_ALONE, LEVEL, is_start_up_line

_CHILD_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "COLUMNS": "100",
    LEVEL: ERRORS_ALONE,
    "GRPC_VERBOSITY": "ERROR",  # otherwise gRPC logs every failed handshake of a stranger
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
    """Run ``command`` once for every task of the cluster that runs on this machine, until the job is over.

    ``autodist-saved launch`` calls it. It handles SIGINT, SIGTERM, SIGHUP and SIGUSR1, so only the main thread can.
    Every task gets its ``TF_CONFIG``, an empty standard input and a process group of its own.

    - **Output.** Every line appears after the name of its task. Lines that TensorFlow writes while it starts appear
      only if the task fails, or if the environment sets ``TF_CPP_MIN_LOG_LEVEL``. A slow console slows tasks that
      write much. One that takes nothing for 5 s holds up nobody: lines are left out, and counted. When its reader
      closes it, the launcher stops the tasks as on SIGTERM.
    - **End.** The job is over when all tasks have ended. ``grace_secs`` after all tasks but parameter servers have
      ended with status 0, the launcher stops the parameter servers, and what tasks left in the background.
    - **Failure.** When a task fails, the launcher stops the others one second later. Those that fail by themselves
      within that second may be the cause.
    - **Signals.** The launcher passes a signal on to the chief, which may export once more, and to the other tasks
      when the chief has ended. If the chief is on another machine, it passes it on to all at once. A second signal
      kills all tasks. SIGUSR1 asks for an export and goes to the chief only.

    Args:
        cluster: the cluster of the job. The launcher chooses a port in place of each port 0.
        command: program and arguments.
        console: where the output of the tasks goes; standard output by default.
        grace_secs: seconds that tasks have to end: before SIGTERM, and again before SIGKILL.
        last_export_secs: more seconds for the tasks that get a signal first. The default equals that of
            ``ExportSchedule.last_export_secs``.
        environ: environment of the tasks; this process's own by default.

    Returns:
        0 if all tasks ended with status 0. If tasks failed: the exit status, as a shell counts it (128 + n for
        signal n), of the first task that a signal ended, else of the chief, else of the first that failed. If no
        task failed and a signal n ended the job: 128 + n; 141 (SIGPIPE) if the closed console did.

    Raises:
        LaunchError: no task runs on this machine, or the command is not runnable. No task was started.
    """
    environ = os.environ if environ is None else environ
    tasks = cluster.local_tasks()
    if problems := [*_cluster_problems(cluster, tasks), *_command_problems(command, environ)]:
        raise LaunchError("the job cannot be started", problems=problems)
    cluster = cluster.with_free_ports()
    printer = Printer(TaskOutput(console or _standard_output(), [str(task) for task in tasks]))
    with (
        printer,  # left last: while the rest is printed, a signal ends this process as any other
        signal_numbers() as signals,
        inherited_orphans(),
        RunningTasks(
            printer,
            signals,
            chief=cluster.chief,
            grace_secs=grace_secs,
            last_export_secs=last_export_secs,
            # A user who sets the level wants to see these lines.
            is_hidden=is_start_up_line if LEVEL not in environ else lambda _: False,
        ) as running,
    ):
        elsewhere = len(cluster.tasks) - len(tasks)
        rest = f"; {elsewhere} more run on other machines" if elsewhere else ""
        printer.say(f"starting {', '.join(map(str, tasks))}{rest}")
        if not cluster.is_single:
            printer.say(f"to watch the job: autodist-saved status {cluster.control_address}")
        for task in tasks:
            running.start(task, command, {**_CHILD_ENVIRONMENT, **environ, "TF_CONFIG": cluster.tf_config(task)})
        return running.supervise()


def _standard_output() -> Console:
    try:
        output = StandardOutput(sys.stdout.fileno(), sys.stdout.encoding)
        return Console(file=cast(IO[str], output))
    except (AttributeError, OSError):  # another program has put something else in its place
        return Console()


def _cluster_problems(cluster: Cluster, tasks: Sequence[Task]) -> Iterator[Problem]:
    if not tasks:
        hosts = {address.rpartition(":")[0] for row in cluster.addresses.values() for address in row}
        yield Problem(
            "CONFIG",
            f"its tasks run on {', '.join(sorted(hosts))}, and this machine is {', '.join(_own_names())}",
            "run the command on those machines, or give some tasks this machine's name or address",
        )


def _own_names() -> list[str]:
    host = socket.gethostname()
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys([host, socket.getfqdn(), *(str(info[4][0]) for info in found)]))
    return [host]


def _command_problems(command: Sequence[str], environ: Mapping[str, str]) -> Iterator[Problem]:
    if not command:
        yield Problem("COMMAND", "it is missing", "write it after `--`, such as: -- python train.py")
        return
    program = command[0]
    if shutil.which(program, path=environ.get("PATH")) is not None:
        return
    if Path(program).is_file():
        fix = f"make it executable (chmod +x {program}), or name its interpreter: python {program}"
        yield Problem("COMMAND", f"{program!r} is not executable", fix)
    else:
        fix = f"check the spelling; relative paths start at {Path.cwd()}"
        place = "there is no such file" if "/" in program else "no directory in PATH holds such a program"
        yield Problem("COMMAND", f"{program!r} cannot be run: {place}", fix)
