"""The versions in a base directory, as TensorFlow Serving counts them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from autodist_saved.errors import ModelError, TargetUnwritableError, UsageError
from autodist_saved.publish.checksums import sum_problems
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.manifest import read_manifest
from autodist_saved.report.report import ExportReport
from autodist_saved.system.paths import is_file, modified

# Serving reads the name as a signed 64-bit integer and passes over what is none.
_GREATEST = 2**63 - 1


@dataclass(frozen=True, order=True)
class Version:
    """Something in a base directory that has a number for a name: a model, or what is in the way of one.

    Attributes:
        number: of the version; ``007`` is 7.
        path: where it is.
    """

    number: int
    path: Path

    @property
    def files(self) -> SavedModelFiles:
        return SavedModelFiles(self.path)

    @property
    def is_directory(self) -> bool:
        """Whether it is one itself: a link to a directory is somebody's arrangement."""
        return self.path.is_dir() and not self.path.is_symlink()

    @property
    def is_model(self) -> bool:
        """Whether loaders take it for one."""
        return self.files.is_model

    @property
    def is_ours(self) -> bool:
        """Whether this package has made it: it has a manifest, readable or not."""
        return self.is_directory and is_file(self.files.manifest)

    @property
    def written(self) -> float | None:
        """When its graphs were written, in seconds since the epoch; None where a store does not tell.

        Raises ``OSError``.
        """
        return modified(next((place for place in self.files.graphs if is_file(place)), self.path))

    @cached_property
    def report(self) -> ExportReport | None:
        """What its manifest says; None where there is none that can be read."""
        try:
            return read_manifest(self.path)
        except (UsageError, ModelError):
            return None

    @cached_property
    def is_good(self) -> bool:
        """Whether it is ours and whole, for all that can be told without reading the variables."""
        sums = self.report.files if self.report is not None else {}
        return bool(sums) and not any(sum_problems(self.files, sums, fix="export again"))


def version_number(name: str) -> int | None:
    """The version that a name stands for; None if it stands for none. Object stores list ``12/`` for ``12``."""
    digits = name.removesuffix("/")
    number = int(digits) if re.fullmatch("[0-9]+", digits) else None
    return number if number is not None and number <= _GREATEST else None


def versions_in(base: Path) -> list[Version]:
    """All versions in a directory, and whatever else has a number for a name, in ascending order.

    Raises:
        OSError: it cannot be listed.
    """
    named = ((version_number(path.name), path) for path in base.iterdir())
    return sorted(Version(number, path) for number, path in named if number is not None)


def number_after(versions: list[Version]) -> int:
    """One more than the greatest.

    Raises:
        TargetUnwritableError: there is none.
    """
    if not versions:
        return 1
    if versions[-1].number == _GREATEST:
        raise TargetUnwritableError(
            f"{versions[-1].path} is the greatest version that there can be; move it away or choose another "
            "base directory",
            path=str(versions[-1].path),
        )
    return versions[-1].number + 1
