"""The versions in a base directory: models whose names are numbers, as TensorFlow Serving expects them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from autodist_saved.errors import ModelError, TargetUnwritableError, UsageError
from autodist_saved.publish.checksums import sum_problems
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.loadable import loading_problems
from autodist_saved.publish.manifest import read_manifest
from autodist_saved.report.report import ExportReport
from autodist_saved.system.foreign_files import is_file_in
from autodist_saved.system.paths import is_file, is_remote, modified

_FIX = "export again"

LATEST = "latest"
"""The link beside the versions that points to the newest one, for people and scripts."""
# TensorFlow Serving reads the name as a signed 64-bit integer, and ignores names that are none.
_GREATEST = 2**63 - 1


@dataclass(frozen=True, order=True)
class Version:
    """An entry of a base directory whose name is a number. Usually it is a model; anything else occupies the number.

    Attributes:
        number: number of the version; for the name ``007`` it is 7.
        path: path of the entry.
    """

    number: int
    path: Path

    @property
    def files(self) -> SavedModelFiles:
        return SavedModelFiles(self.path)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory. A symbolic link is not, even to a directory: a person has made it."""
        return self.path.is_dir() and not self.path.is_symlink()

    @property
    def is_model(self) -> bool:
        """Whether loaders regard it as a model."""
        return self.files.is_model

    @property
    def is_ours(self) -> bool:
        """Whether this package has made it: it has a manifest in it, which may be damaged."""
        return self.is_directory and is_file_in(self.files.manifest, self.path)

    @property
    def is_linked(self) -> bool:
        """Whether the link ``latest`` leads to it. Object stores have no links."""
        link = self.path.with_name(LATEST)
        if is_remote(link):
            return False
        try:
            return link.is_symlink() and link.samefile(self.path)
        except OSError:
            return False  # it leads nowhere

    @property
    def written(self) -> float | None:
        """When its graphs were written, in seconds since 1970; None if a store does not know it.

        Raises ``OSError``.
        """
        return modified(next((place for place in self.files.graphs if is_file(place)), self.path))

    @cached_property
    def report(self) -> ExportReport | None:
        """Its manifest; None if it has none, or a damaged one."""
        try:
            return read_manifest(self.path)
        except (UsageError, ModelError):
            return None

    @cached_property
    def is_good(self) -> bool:
        """Whether this package has made it and a loader can load it.

        A manifest alone proves nothing: the graphs and the index of the variables are read, too. Not read are the
        values of the variables. Raises ``UnreadableError``.
        """
        sums = self.report.files if self.report is not None else {}
        return (
            bool(sums)
            and not any(sum_problems(self.files, sums, _FIX))
            and not any(loading_problems(self.files, _FIX))
        )


def version_number(name: str) -> int | None:
    """The number of a version with this name; None if the name is no number. Object stores list ``12`` as ``12/``."""
    digits = name.removesuffix("/")
    number = int(digits) if re.fullmatch("[0-9]+", digits) else None
    return number if number is not None and number <= _GREATEST else None


def versions_in(base: Path) -> list[Version]:
    """All entries of a directory whose names are numbers, in ascending order.

    Raises:
        OSError: the directory cannot be listed.
    """
    named = ((version_number(path.name), path) for path in base.iterdir())
    return sorted(Version(number, path) for number, path in named if number is not None)


def number_after(versions: list[Version]) -> int:
    """The number of the next version: one more than the greatest, or 1.

    Raises:
        TargetUnwritableError: the greatest possible number is in use.
    """
    if not versions:
        return 1
    if versions[-1].number == _GREATEST:
        raise TargetUnwritableError(
            f"{versions[-1].path} has the greatest possible version number; move it away, or choose another base "
            "directory",
            path=str(versions[-1].path),
        )
    return versions[-1].number + 1
