"""``autodist-saved prune``: remove old versions."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from autodist_saved.system.escape import escape
from autodist_saved.system.paths import absence_message, exists, is_dir, path_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autodist_saved.publish.best import BestBy
    from autodist_saved.publish.version import Version
    from autodist_saved.publish.version_base import VersionBase


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
    keep: Annotated[int, typer.Option(help="Keep the newest KEEP versions.")] = 5,
    keep_days: Annotated[
        float | None, typer.Option(help="Keep versions younger than this, too.", show_default=False)
    ] = None,
    keep_every: Annotated[
        int | None, typer.Option(help="Keep versions whose number this divides, too.", show_default=False)
    ] = None,
    keep_best: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC",
            help="Keep the version with the best value of this metric in its manifest, too.",
            show_default=False,
        ),
    ] = None,
    best_is: Annotated[
        Mode | None,
        typer.Option(help="Which value of METRIC is the best; needed if no manifest says it.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; show what would be removed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was removed and what stays as JSON.")] = False,
) -> None:
    """Remove old versions of a model.

    Always keeps the newest version that is whole, and everything that this
    package has not made.

    [bold]Examples[/]

      autodist-saved prune --keep 3 --dry-run /models/flights

      autodist-saved prune --keep 1 --keep-days 30 --keep-every 100 /models/flights

      autodist-saved prune --keep 1 --keep-best error /models/flights

      autodist-saved prune --keep 1 --keep-best error --best-is min /models/flights
    """
    import json
    import time
    from dataclasses import asdict

    from autodist_saved.cli.exit_status import exit_status
    from autodist_saved.errors import Problem, RemovalError, UsageError
    from autodist_saved.publish.retention import Retention, remove
    from autodist_saved.system.error_translation import reading

    if best_is is not None and keep_best is None:
        raise UsageError("--best-is needs a metric; give --keep-best METRIC, too")
    with reading(base):
        place, versions = _opened(base)
        best = _best_by(keep_best, best_is, versions, base) if keep_best is not None and versions else None
        retention = Retention(keep=keep, keep_days=keep_days, keep_every=keep_every, keep_best=best)
        expired = retention.expired(versions, time.time())
    refused = {} if dry_run else remove(place, expired)
    removed = [version for version in expired if version not in refused]
    stays = [version for version in versions if version not in removed]
    problems = [Problem.of(error, str(version.path)) for version, error in refused.items()]
    if as_json:
        shown = {"removed": removed, "stays": stays}
        listed = {name: [str(version.path) for version in each] for name, each in shown.items()}
        typer.echo(json.dumps({**listed, "problems": [asdict(problem) for problem in problems]}))
    elif expired:
        for version in removed:
            typer.echo(escape(f"{'would remove ' if dry_run else ''}{version.path}"))
    else:
        found = f"all of its {len(versions)} versions stay with --keep {keep}" if versions else "it has no versions"
        typer.echo(escape(f"nothing to remove from {base}: {found}"))
    if problems:
        error = RemovalError(
            f"not all expired versions in {base} could be removed", problems=problems, path=str(base)
        )
        raise typer.Exit(exit_status(error)) if as_json else error  # the JSON has the problems


def _opened(base: Path) -> tuple[VersionBase[Any], list[Version]]:
    """The base, and its versions in ascending order. Raises ``UsageError`` for a directory of something else."""
    from autodist_saved.errors import UsageError
    from autodist_saved.publish.files import SavedModelFiles
    from autodist_saved.publish.target_factory import base_at

    if not is_dir(base):
        what = f"{base} is no directory" if exists(base) else absence_message(base)
        raise UsageError(f"{what}; name the directory that holds the versions")
    place = base_at(base)
    versions = place.settled()
    if not versions and any(not path.name.startswith(".") for path in base.iterdir()):
        what = "is a model itself" if SavedModelFiles(base).is_model else "has no versions in it"
        raise UsageError(f"{base} {what}; name the directory that holds the versions 1, 2, 3...")
    return place, versions


def _best_by(metric: str, mode: Mode | None, versions: Sequence[Version], base: Path) -> BestBy:
    """The rule for the best version. The newest manifest that says what is best decides."""
    from autodist_saved.errors import UsageError
    from autodist_saved.publish.best import BestBy

    reports = [version.report for version in versions if version.is_model and version.report is not None]
    measured = sorted({name for report in reports for name in report.metrics})
    if metric not in measured:
        raise UsageError(
            f"no version in {base} has the metric {metric!r}; give --keep-best one that they have: "
            f"{', '.join(measured) or 'none'}"
        )
    recorded = next(
        (report.metric_modes[metric] for report in reversed(reports) if metric in report.metric_modes), None
    )
    asked: Literal["max", "min"] | None = None if mode is None else mode.value
    best = recorded or asked
    if best is None:
        raise UsageError(f"no version in {base} says which {metric!r} is the best; give --best-is max or min")
    if asked not in (None, best):
        raise UsageError(
            f"--best-is {asked} is not what the job meant: the newest version in {base} that says it takes the "
            f"{best} of {metric!r} for the best; leave --best-is out"
        )
    return BestBy(metric, mode=best)
