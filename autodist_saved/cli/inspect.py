"""``autodist-saved inspect``: what is in a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from autodist_saved.cli.model import Model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.table import Table

    from autodist_saved.bundle import BundleReader
    from autodist_saved.report.report import ExportReport
    from autodist_saved.saved_models.saved_model import SavedModel


def inspect(
    model: Model,
    as_json: Annotated[bool, typer.Option("--json", help="Print it all as JSON, the manifest too.")] = False,
) -> None:
    """Show what is in a model, who wrote it and, for a model of this package, at which moment of the job.

    Works for every SavedModel. Does not read the values of variables; verify
    does. If the manifest is damaged, shows all the rest.

    [bold]Examples[/]

      autodist-saved inspect /models/flights/1

      autodist-saved inspect --json s3://bucket/flights
    """
    import json

    from autodist_saved.cli.exit_status import exit_status
    from autodist_saved.cli.output import plain, show
    from autodist_saved.saved_models.model_directory import versions
    from autodist_saved.saved_models.saved_model import open_model

    found = versions(model)
    opened = open_model(found[-1] if found else model)
    if as_json:
        typer.echo(json.dumps(_as_dict(opened, found), indent=2))
        if opened.damage:  # the JSON has it
            raise typer.Exit(exit_status(opened.damage[0]))
        return
    if found:
        named = ", ".join(one.name for one in found)
        show(plain(f"{model} holds the versions {named}; this is the newest"))
    variables = [_variables(opened.variables, opened.manifest)] if opened.variables is not None else []
    show(_facts(opened), *_graphs(opened), *variables, _files(opened))
    if opened.damage:
        raise opened.damage[0]


def _facts(model: SavedModel) -> Table:
    from autodist_saved.report.report import facts_table
    from autodist_saved.saved_models.provenance import writer_of

    said = model.manifest.facts() if model.manifest is not None else []
    return facts_table([("model", str(model.files.root)), ("written by", writer_of(model)), *said])


def _graphs(model: SavedModel) -> Iterator[Table]:
    from rich.table import Column, Table

    from autodist_saved.cli.output import plain

    for graph in model.graphs:
        table = Table(
            "graph", Column(plain(", ".join(graph.tags) or "no tags")), f"{graph.op_types.total():,} ops", box=None
        )
        for key, signature in graph.signatures.items():
            _add(table, "signature", key, signature.method)
            for way, tensors in (("takes", signature.inputs), ("gives", signature.outputs)):
                for name, tensor in tensors.items():
                    _add(table, f"  {way}", name, str(tensor))
        for asset in graph.assets:
            _add(table, "asset", asset)
        yield table


def _variables(variables: BundleReader, manifest: ExportReport | None) -> Table:
    from rich.table import Table

    table = Table("variable", "dtype", "shape", "bytes", "data file", "held by", box=None)
    plan = manifest.plan if manifest is not None else None
    tasks = {one.name: sorted({piece.task for piece in one.pieces}) for one in (plan.variables if plan else ())}
    for entry in variables.entries.values():
        files = ", ".join(map(str, entry.data_files))
        held = ", ".join(tasks.get(entry.name, ()))
        _add(table, entry.name, entry.dtype, str(list(entry.shape)), f"{entry.nbytes:,}", files, held)
    return table


def _files(model: SavedModel) -> Table:
    from rich.table import Table

    table = Table("file", "bytes", box=None)
    for name, nbytes in model.sizes.items():
        _add(table, name, f"{nbytes:,}")
    return table


def _add(table: Table, *cells: str) -> None:
    from autodist_saved.cli.output import plain

    table.add_row(*map(plain, cells))


def _as_dict(model: SavedModel, versions: list[Path]) -> dict[str, Any]:
    from dataclasses import asdict

    from autodist_saved.saved_models.provenance import writer_of

    return {
        "path": str(model.files.root),
        "versions": [one.name for one in versions],
        "written_by": writer_of(model),
        "graphs": [
            {
                "tags": graph.tags,
                "tensorflow": graph.tensorflow_version,
                "signatures": {key: asdict(signature) for key, signature in graph.signatures.items()},
                "ops": dict(sorted(graph.op_types.items())),
                "assets": graph.assets,
            }
            for graph in model.graphs
        ],
        "variables": {
            entry.name: {
                "dtype": entry.dtype,
                "shape": entry.shape,
                "bytes": entry.nbytes,
                "data_files": entry.data_files,
            }
            for entry in (model.variables.entries.values() if model.variables is not None else ())
        },
        "files": model.sizes,
        "manifest": model.manifest.as_dict() if model.manifest is not None else None,
        "damage": [damage.message for damage in model.damage],
    }
