"""``autodist-saved status``: what a running job is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from autodist_saved.cli.job_address import Authority, Certificate, Job, Key, TokenFile, visit

if TYPE_CHECKING:
    from rich.console import Group

    from autodist_saved.control.control_pb2 import ExportStatus, StatusReply, TaskStatus

EVERY_SECS = 1.0


def status(
    job: Job,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it, until Ctrl-C or the job's end.")] = False,
    token_file: TokenFile = None,
    certificate: Certificate = None,
    key: Key = None,
    authority: Authority = None,
) -> None:
    """Show the tasks of a running job, their steps, and its last exports.

    [bold]Examples[/]

      autodist-saved status localhost:2226

      autodist-saved status --watch cluster.yaml
    """
    import time

    from rich.console import Console
    from rich.live import Live

    from autodist_saved.errors import TaskUnreachableError

    console = Console()
    with visit(job, token_file, certificate, key, authority) as visitor:
        shown = _shown(visitor.status())
        if not watch:
            console.print(shown)
            return
        with Live(shown, console=console) as live:
            try:
                while True:
                    time.sleep(EVERY_SECS)
                    live.update(_shown(visitor.status()))
            except KeyboardInterrupt:
                return
            except TaskUnreachableError:
                console.print("the job is over")


def _shown(reply: StatusReply) -> Group:
    from rich.console import Group
    from rich.table import Table

    tasks = Table("task", "state", "training", "steps", "steps/s", "last heard", "process", box=None)
    for task in reply.tasks:
        tasks.add_row(*_task_row(task))
    exports = Table("export to", "phase", "seconds", "outcome", box=None)
    for export in reply.exports:
        exports.add_row(export.target, export.phase, f"{export.seconds:.1f}", _outcome(export))
    return Group(tasks, *([exports] if reply.exports else []))


def _task_row(task: TaskStatus) -> list[str]:
    from autodist_saved.control.control_pb2 import Progress

    trains = not task.task.startswith("ps:")
    return [
        task.task,
        task.state,
        Progress.Standing.Name(task.standing).lower() if trains and task.state == "joined" else "",
        f"{task.steps:,}" if trains else "",
        f"{task.steps_per_sec:.1f}" if task.HasField("steps_per_sec") else "",
        f"{task.silent_secs:.1f} s ago" if task.HasField("silent_secs") else "never",
        str(task.pid) if task.pid else "",
    ]


def _outcome(export: ExportStatus) -> str:
    return export.error or ("committed" if export.path else "under way")
