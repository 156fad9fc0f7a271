"""How commands are told which running job they are about, and how they tell of its exports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from autodist_saved.control.console_client import ConsoleClient
    from autodist_saved.control.control_pb2 import ExportStatus

_ADDRESS_FIX = "name the address that `autodist-saved launch` tells at its start, HOST:PORT"

Job = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS",
        help="host:port of the chief's control service, or the job's cluster file (YAML).",
        show_default=False,
    ),
]
TokenFile = Annotated[Path | None, typer.Option(metavar="FILE", help="The job's token file.", show_default=False)]
Certificate = Annotated[Path | None, typer.Option(metavar="FILE", help="For TLS, in PEM.", show_default=False)]
Key = Annotated[Path | None, typer.Option(metavar="FILE", help="Of the certificate.", show_default=False)]
Authority = Annotated[
    Path | None, typer.Option(metavar="FILE", help="What the chief's certificate comes from.", show_default=False)
]


def visit(
    job: str, token_file: Path | None, certificate: Path | None, key: Path | None, authority: Path | None
) -> ConsoleClient:
    """Somebody who may ask the job. A cluster file names address and files; options go before what it names.

    Raises:
        ClusterConfigError: file or address are wrong.
    """
    from dataclasses import replace

    from autodist_saved.cluster import Cluster, ControlFiles
    from autodist_saved.cluster.address import read_address
    from autodist_saved.control.console_client import ConsoleClient
    from autodist_saved.errors import ClusterConfigError, Problem

    files, address = ControlFiles(), job
    if Path(job).suffix in {".yaml", ".yml"}:
        cluster = Cluster.from_yaml(job)
        if cluster.is_single:
            place = Problem(job, "its cluster is one task, and has no control service", "look at the task itself")
            raise ClusterConfigError("nobody can be asked", problems=[place])
        try:
            files, address = cluster.control_files, str(cluster.control_address)
        except ClusterConfigError as error:
            place = Problem(job, "its ports are chosen anew whenever it is launched", _ADDRESS_FIX)
            raise ClusterConfigError("nobody knows whom to ask", problems=[place]) from error
    elif isinstance(problem := read_address("ADDRESS", job), Problem):
        raise ClusterConfigError("that is no job's address", problems=[problem])
    given = {"token_file": token_file, "certificate": certificate, "key": key, "authority": authority}
    return ConsoleClient(
        address, replace(files, **{name: str(path) for name, path in given.items() if path is not None})
    )


def export_as_dict(export: ExportStatus) -> dict[str, Any]:
    """For JSON: an export, at one moment. It has a path once the model is visible, or an error, or neither yet."""
    return {
        "target": export.target,
        "phase": export.phase,
        "seconds": export.seconds,
        "path": export.path or None,
        "error": export.error or None,
    }
