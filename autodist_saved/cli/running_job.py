"""The arguments with which commands find a running job, and its exports as JSON."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from autodist_saved.control.console_client import ConsoleClient
    from autodist_saved.control.control_pb2 import ExportStatus

_ADDRESS_FIX = "give the address that `autodist-saved launch` prints when it starts, HOST:PORT"

Job = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS",
        help="host:port of the chief's control service, or the job's cluster file (YAML).",
        show_default=False,
    ),
]
TokenFile = Annotated[Path | None, typer.Option(metavar="FILE", help="The job's token file.", show_default=False)]
Certificate = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Our certificate for TLS, in PEM.", show_default=False)
]
Key = Annotated[Path | None, typer.Option(metavar="FILE", help="Private key of the certificate.", show_default=False)]
Authority = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The authority that signed the chief's certificate.", show_default=False),
]


def visit(
    job: str, token_file: Path | None, certificate: Path | None, key: Path | None, authority: Path | None
) -> ConsoleClient:
    """Connect to the job. A cluster file gives address and files, else the environment gives files.

    Options replace what they give.

    Raises:
        ClusterConfigError: the file or the address is wrong.
    """
    from dataclasses import replace

    from autodist_saved.cluster import Cluster, ControlFiles
    from autodist_saved.cluster.address import read_address
    from autodist_saved.cluster.control_environment import ControlEnvironment
    from autodist_saved.control.console_client import ConsoleClient
    from autodist_saved.errors import ClusterConfigError, Problem

    files, address = ControlFiles(), job
    if Path(job).suffix in {".yaml", ".yml"}:
        cluster = Cluster.from_yaml(job)
        if cluster.is_single:
            place = Problem(job, "its cluster is one task, which has no control service", "look at the task itself")
            raise ClusterConfigError("this job answers no questions", problems=[place])
        try:
            files, address = cluster.control_files, str(cluster.control_address)
        except ClusterConfigError as error:
            place = Problem(job, "each launch of the job chooses other ports", _ADDRESS_FIX)
            raise ClusterConfigError("the address of the job is not known", problems=[place]) from error
    elif isinstance(problem := read_address("ADDRESS", job), Problem):
        raise ClusterConfigError("this is not the address of a job", problems=[problem])
    else:
        files = ControlEnvironment(os.environ).files
    given = {"token_file": token_file, "certificate": certificate, "key": key, "authority": authority}
    return ConsoleClient(
        address, replace(files, **{name: str(path) for name, path in given.items() if path is not None})
    )


def export_as_dict(export: ExportStatus) -> dict[str, Any]:
    """An export as JSON. It has a path when the model is visible, or an error when it has failed, else neither."""
    return {
        "target": export.target,
        "phase": export.phase,
        "seconds": export.seconds,
        "path": export.path or None,
        "error": export.error or None,
    }
