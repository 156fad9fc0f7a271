"""``autodist-saved launch``: start the tasks of a cluster that run on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def launch(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG", help="Cluster file (YAML), as in cluster_configs/.", show_default=False),
    ],
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="-- COMMAND",
            help="What every task runs: everything after [bold]--[/].",
            show_default=False,
        ),
    ],
    grace_secs: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Time that tasks have to end: before SIGTERM, and again before SIGKILL.",
        ),
    ] = 5.0,
    last_export_secs: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="More time for the chief after Ctrl-C or SIGTERM: for its last export.",
        ),
    ] = 300.0,
) -> None:
    """Start every task of a cluster that runs on this machine.

    Each task runs COMMAND with its own TF_CONFIG. Its output appears here,
    each line after the task's name. Lines that TensorFlow writes while it
    starts appear only if the task fails. When a task fails, launch stops the
    others and returns its exit status. Ctrl-C and SIGTERM go to the chief
    first, and to the other tasks when it has ended; a second one kills all.
    SIGUSR1 goes to the chief, which exports.

    [bold]Examples[/]

      autodist-saved launch single.yaml -- python train.py

      autodist-saved launch cluster.yaml -- python train.py --steps 1000

      autodist-saved launch --grace-secs 60 cluster.yaml -- ./train.sh
    """
    from autodist_saved.cluster import Cluster
    from autodist_saved.launch import launch as launch_tasks

    cluster = Cluster.from_yaml(config)
    status = launch_tasks(cluster, command, grace_secs=grace_secs, last_export_secs=last_export_secs)
    raise typer.Exit(status)
