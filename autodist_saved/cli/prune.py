"""``autodist-saved prune``: remove old versions."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from autodist_saved.paths import absence, exists, is_dir, path_of
from autodist_saved.visible import visible


class Mode(Enum):
    """Whether the greatest or the least value is the best."""

    MAX = "max"
    MIN = "min"


def prune(
    base: Annotated[
        Path,
        typer.Argument(
            parser=path_of, metavar="BASE", help="Directory of the versions 1, 2, 3...", show_default=False
        ),
    ],
    keep: Annotated[int, typer.Option(help="The newest so many stay.")] = 5,
    keep_days: Annotated[
        float | None, typer.Option(help="Those that are younger stay too.", show_default=False)
    ] = None,
    keep_every: Annotated[
        int | None, typer.Option(help="Those whose number it divides stay too.", show_default=False)
    ] = None,
    keep_best: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC", help="The best one by this metric of the manifests stays too.", show_default=False
        ),
    ] = None,
    best_is: Annotated[Mode, typer.Option(help="Which value of METRIC is the best.")] = Mode.MAX,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, only show what would be.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is removed and what stays as JSON.")] = False,
) -> None:
    """Remove old versions of a model.

    The newest version that is whole stays, and so does what this package has
    not made.

    [bold]Examples[/]

      autodist-saved prune --keep 3 --dry-run /models/flights

      autodist-saved prune --keep 1 --keep-days 30 --keep-every 100 /models/flights

      autodist-saved prune --keep 1 --keep-best error --best-is min /models/flights
    """
    import json
    import time
    from dataclasses import asdict

    from autodist_saved.best import BestBy
    from autodist_saved.cli.exit_status import exit_status
    from autodist_saved.errors import Problem, RemovalError, UsageError
    from autodist_saved.foreign import reading
    from autodist_saved.publish.files import SavedModelFiles
    from autodist_saved.publish.places import base_at
    from autodist_saved.publish.retention import Retention, remove

    best = None if keep_best is None else BestBy(keep_best, mode=best_is.value)
    retention = Retention(keep=keep, keep_days=keep_days, keep_every=keep_every, keep_best=best)
    with reading(base):
        if not is_dir(base):
            what = f"{base} is no directory" if exists(base) else absence(base)
            raise UsageError(f"{what}; name the directory that holds the versions")
        place = base_at(base)
        versions = place.settled()
        if not versions and any(not path.name.startswith(".") for path in base.iterdir()):
            what = "is a model itself" if SavedModelFiles(base).is_model else "has no versions in it"
            raise UsageError(f"{base} {what}; name the directory that holds the versions 1, 2, 3...")
        expired = retention.expired(versions, time.time())
    refused = {} if dry_run else remove(place, expired)
    removed = [version for version in expired if version not in refused]
    stays = [version for version in versions if version not in removed]
    problems = [Problem.of(error, str(version.path)) for version, error in refused.items()]
    if as_json:
        shown = {"removed": removed, "stays": stays}
        told = {name: [str(version.path) for version in each] for name, each in shown.items()}
        typer.echo(json.dumps({**told, "problems": [asdict(problem) for problem in problems]}))
    elif expired:
        for version in removed:
            typer.echo(visible(str(version.path)))
    else:
        found = f"all of its {len(versions)} versions stay with --keep {keep}" if versions else "it has no versions"
        typer.echo(visible(f"nothing to remove from {base}: {found}"))
    if problems:
        error = RemovalError(
            f"not all expired versions in {base} could be removed", problems=problems, path=str(base)
        )
        raise typer.Exit(exit_status(error)) if as_json else error  # JSON says already what stays, and why
