"""``autodist-saved diff``: how two models differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autodist_saved.cli.model import model_at
from autodist_saved.system.paths import path_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from autodist_saved.saved_models.changes import Changes
    from autodist_saved.saved_models.difference import ModelDifference
    from autodist_saved.saved_models.graph_difference import GraphDifference
    from autodist_saved.saved_models.variable_difference import ValueChange

_DIFFERENT = 1


def diff(
    a: Annotated[
        Path,
        typer.Argument(
            parser=path_of,
            metavar="A",
            help="Directory of a SavedModel, or of its numbered versions: then of the newest.",
            show_default=False,
        ),
    ],
    b: Annotated[
        Path, typer.Argument(parser=path_of, metavar="B", help="The same of another one.", show_default=False)
    ],
    top: Annotated[int, typer.Option(min=0, metavar="N", help="How many of each kind to name.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print all differences as JSON.")] = False,
) -> None:
    """Show how two models differ: in tags, signatures, ops, functions, assets and variables.

    Values that changed most come first: by the L2 norm of B - A, divided by
    that of A. Variables with equal checksums count as equal and are not read.
    All others are read in bands, so models may be larger than memory.

    [bold]Exit status[/]

      0  no difference

      1  differences

      2  there is no model

      3  a model is not reachable or readable, and may be whole

      6  files are missing or damaged

    [bold]Examples[/]

      autodist-saved diff /models/flights/1 /models/flights/2

      autodist-saved diff --top 5 /models/flights/1 /models/flights/2
    """
    import json

    from autodist_saved.cli.output import show, warn
    from autodist_saved.saved_models.difference import compare_models
    from autodist_saved.saved_models.saved_model import open_model
    from autodist_saved.system.error_translation import translated

    with translated("diff"):
        models = open_model(model_at(a)), open_model(model_at(b))
        difference = compare_models(*models)
    for damage in (*models[0].damage, *models[1].damage):
        warn(damage.message)
    if as_json:
        typer.echo(json.dumps(_as_dict(difference), indent=2))
    else:
        show(*_shown(difference, top))
        if not difference:
            typer.echo("no difference")
    if difference:
        raise typer.Exit(_DIFFERENT)


def _as_dict(difference: ModelDifference) -> dict[str, Any]:
    """For JSON, which has no infinity: it becomes null."""
    import math
    from dataclasses import asdict

    result = asdict(difference)
    for change in result["variables"]["values"]:
        change.update({key: None for key in ("relative", "largest") if math.isinf(change[key])})
    return result


def _shown(difference: ModelDifference, top: int) -> Iterator[RenderableType]:
    yield from _changes("graph", difference.tags, top)
    for graph in difference.graphs:
        yield from _graph(graph, top)
    yield from _changes("asset", difference.assets, top)
    yield from _changes("variable", difference.variables.names, top)
    if difference.variables.values:
        yield _values(difference.variables.values, top)


def _graph(graph: GraphDifference, top: int) -> Iterator[RenderableType]:
    from rich.table import Table

    from autodist_saved.cli.output import plain

    yield plain(f"graph {', '.join(graph.tags)}", "bold")
    yield from _changes("signature", graph.signatures, top)
    yield from _changes("op", graph.ops, top)
    yield from _changes("function", graph.functions, top)
    yield from _changes("collection", graph.collections, top)
    if graph.op_types:
        table = Table("type of ops", "in A", "in B", box=None)
        for kind, (in_a, in_b) in graph.op_types.items():
            table.add_row(plain(kind), f"{in_a:,}", f"{in_b:,}")
        yield table


def _changes(kind: str, changes: Changes, top: int) -> Iterator[RenderableType]:

    from autodist_saved.cli.output import plain

    for sign, names in (("- ", changes.only_a), ("+ ", changes.only_b), ("~ ", changes.changed)):
        for name in names[:top]:
            yield plain(f"{sign}{kind} {name}")
        if len(names) > top:
            yield plain(f"{sign}{len(names) - top:,} more of kind {kind}")


def _values(changes: Sequence[ValueChange], top: int) -> RenderableType:
    from rich.table import Table

    from autodist_saved.cli.output import plain

    table = Table("value", "dtype", "shape", "elements", "relative", "largest", box=None)
    for change in changes[:top]:
        shape, elements = str(list(change.shape)), f"{change.elements:,}"
        table.add_row(
            plain(change.name),
            change.dtype,
            plain(shape),
            elements,
            f"{change.relative:.3g}",
            f"{change.largest:.3g}",
        )
    if len(changes) > top:
        table.add_row(f"{len(changes) - top:,} more")
    return table
