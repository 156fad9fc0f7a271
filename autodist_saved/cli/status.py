"""``autodist-saved status``: what a running job does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from autodist_saved.cli.running_job import Authority, Certificate, Job, Key, TokenFile, export_as_dict, visit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Group

    from autodist_saved.control.console_client import ConsoleClient
    from autodist_saved.control.control_pb2 import ExportStatus, StatusReply, TaskStatus

EVERY_SECS = 1.0


def status(
    job: Job,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again and again, until Ctrl-C or the end of the job.")
    ] = False,
    token_file: TokenFile = None,
    certificate: Certificate = None,
    key: Key = None,
    authority: Authority = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as JSON; with --watch, one line each time.")
    ] = False,
) -> None:
    """Show the tasks of a running job, their steps, and its last exports, newest first.

    [bold]Examples[/]

      autodist-saved status localhost:2226

      autodist-saved status --watch cluster.yaml

      autodist-saved status --json localhost:2226
    """
    import json
    from contextlib import suppress

    from rich.live import Live

    from autodist_saved.cli.output import console, show

    with visit(job, token_file, certificate, key, authority) as visitor, suppress(KeyboardInterrupt):
        if as_json:
            for reply in _replies(visitor, watch):
                typer.echo(json.dumps(_as_dict(reply)))
        elif watch:
            with Live(console=console()) as live:
                for reply in _replies(visitor, watch):
                    live.update(_shown(reply))
            typer.echo("the job is over")
        else:
            show(_shown(visitor.status()))


def _replies(visitor: ConsoleClient, watch: bool) -> Iterator[StatusReply]:
    """One reply, or with ``watch`` one every second until the job is over."""
    import time

    from autodist_saved.errors import TaskUnreachableError

    yield visitor.status()
    while watch:
        time.sleep(EVERY_SECS)
        try:
            yield visitor.status()
        except TaskUnreachableError:
            return


def _as_dict(reply: StatusReply) -> dict[str, Any]:
    tasks = [
        {
            "task": task.task,
            "state": task.state,
            "training": _training(task) or None,
            "steps": task.steps if _trains(task) else None,
            "steps_per_sec": task.steps_per_sec if task.HasField("steps_per_sec") else None,
            "silent_secs": task.silent_secs if task.HasField("silent_secs") else None,
            "pid": task.pid or None,
        }
        for task in reply.tasks
    ]
    return {
        "tasks": tasks,
        "tasks_left_out": reply.tasks_left_out,
        "exports": [export_as_dict(export) for export in reply.exports],
        "exports_left_out": reply.exports_left_out,
    }


def _shown(reply: StatusReply) -> Group:
    from rich.console import Group
    from rich.table import Table

    from autodist_saved.cli.output import plain

    tasks = Table("task", "state", "training", "steps", "steps/s", "last heard", "process", box=None)
    for task in reply.tasks:
        tasks.add_row(*map(plain, _task_row(task)))
    exports = Table("export to", "phase", "seconds", "outcome", box=None)
    for export in reply.exports:
        exports.add_row(*map(plain, (export.target, export.phase, f"{export.seconds:.1f}", _outcome(export))))
    if reply.tasks_left_out:
        tasks.add_row(f"and {reply.tasks_left_out} more")
    if reply.exports_left_out:
        exports.add_row(f"and {reply.exports_left_out} older ones")
    return Group(tasks, *([exports] if reply.exports else []))


def _task_row(task: TaskStatus) -> list[str]:
    return [
        task.task,
        task.state,
        _training(task),
        f"{task.steps:,}" if _trains(task) else "",
        f"{task.steps_per_sec:.1f}" if task.HasField("steps_per_sec") else "",
        f"{task.silent_secs:.1f} s ago" if task.HasField("silent_secs") else "never",
        str(task.pid) if task.pid else "",
    ]


def _trains(task: TaskStatus) -> bool:
    return not task.task.startswith("ps:")


def _training(task: TaskStatus) -> str:
    """Whether a task trains, as one word; empty for a task that never trains or has not joined."""
    from autodist_saved.control.control_pb2 import Progress

    return Progress.Standing.Name(task.standing).lower() if _trains(task) and task.state == "joined" else ""


def _outcome(export: ExportStatus) -> str:
    return export.error or export.path or "under way"
