"""Makes the target or the version base for a path. Only this module distinguishes directories and object stores."""

from __future__ import annotations

import os
from typing import Any

from autodist_saved.publish.disk.file_system import local_path
from autodist_saved.publish.disk.target import LocalTarget
from autodist_saved.publish.disk.version_base import LocalVersionBase
from autodist_saved.publish.store.target import StoreTarget
from autodist_saved.publish.store.version_base import StoreVersionBase
from autodist_saved.publish.target import Target
from autodist_saved.publish.version_base import VersionBase
from autodist_saved.system.paths import is_remote, path_of


def target_at(path: str | os.PathLike[str]) -> Target:
    """Make the target for one model. Reads and writes nothing yet.

    Args:
        path: a path of this machine, or a URL in an object store.

    Raises:
        TargetUnwritableError: the string is not a valid path.
        UsageError: the URL is not valid, or no library for this kind of object store is installed.
    """
    place = path_of(path)
    return StoreTarget(place) if is_remote(place) else LocalTarget(place)


def base_at(path: str | os.PathLike[str]) -> VersionBase[Any]:
    """Make the base for versions. Raises as :func:`target_at` does."""
    place = path_of(path)
    return StoreVersionBase(place) if is_remote(place) else LocalVersionBase(local_path(place))
