"""A version base on a file system: versions appear by renaming."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from autodist_saved.errors import Problem
from autodist_saved.publish.disk.draft import DraftDirectory, sweep
from autodist_saved.publish.disk.file_system import check_writable, rename_without_replacing, sync
from autodist_saved.publish.disk.latest import point_to_latest
from autodist_saved.publish.disk.preflight import find_problems
from autodist_saved.publish.ownership import LockedOwnership, Ownership
from autodist_saved.publish.version import Version, versions_in
from autodist_saved.publish.version_base import VersionBase
from autodist_saved.system.paths import hidden_name


class LocalVersionBase(VersionBase[DraftDirectory]):
    """A directory, which is made if it does not exist. Drafts are beside the versions, under hidden names."""

    def check(self) -> None:
        check_writable(self.path)

    def problems(self, nbytes: int, keep: int | None, take_ownership: Callable[[], object]) -> Iterator[Problem]:
        return find_problems(self.path, nbytes, keep, take_ownership)

    def versions(self) -> list[Version]:
        return versions_in(self.path)

    def take_ownership(self, task: str) -> Ownership:
        return LockedOwnership.of(self.path, task)

    def remove(self, version: Version) -> None:
        """See :meth:`VersionBase.remove`. After the graphs, one rename hides the rest; it is swept after a crash."""
        for graphs in version.files.graphs:
            graphs.unlink(missing_ok=True)
        sync(version.path)
        hidden = hidden_name(version.path.parent, version.path.name)
        version.path.rename(hidden)
        shutil.rmtree(hidden)

    def prepare(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    def stage(self, task: str) -> DraftDirectory:  # noqa: ARG002 - the lock of a draft shows that it is in use
        sweep(self.path)
        return DraftDirectory(self.path, "version")

    def appear(self, draft: DraftDirectory) -> Path:
        number = 0
        while True:
            # The listing of a network file system may be out of date, so never try a number again that was in use.
            number = max(number + 1, self._next_number())
            version = self.path / str(number)
            try:
                draft.appear_at(version, rename_without_replacing)
            except FileExistsError:
                continue
            return version

    def point_to_latest(self) -> None:
        point_to_latest(self.path)
